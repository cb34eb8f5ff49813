// How much memory is in use. Asked for every few seconds while somebody looks, never behind another window.

import type { Client, SystemStats } from "../../net";

export interface Memory {
  readonly name: string;
  readonly used: number;
  readonly total: number;
}

export interface MemoryStore {
  readonly subscribe: (listener: () => void) => () => void;
  readonly get: () => Memory | undefined;
}

export function createMemoryStore(client: Pick<Client, "systemStats">, every = 5_000): MemoryStore {
  const listeners = new Set<() => void>();
  let memory: Memory | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;
  const ask = async (): Promise<void> => {
    if (globalThis.document?.visibilityState === "hidden") return;
    try {
      memory = memoryOf(await client.systemStats());
    } catch {
      memory = undefined; // the server is away; the queue says so
    }
    for (const listener of listeners) listener();
  };
  return {
    get: () => memory,
    subscribe: (listener) => {
      listeners.add(listener);
      if (timer === undefined) {
        timer = setInterval(() => void ask(), every);
        void ask();
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
  };
}

/** The memory of the first device; of a processor it is the machine's. */
export function memoryOf({ system, devices }: SystemStats): Memory {
  const [device] = devices;
  if (device === undefined || device.vram_total === 0) {
    return { name: "RAM", used: system.ram_total - system.ram_free, total: system.ram_total };
  }
  return { name: device.name, used: device.vram_total - device.vram_free, total: device.vram_total };
}
