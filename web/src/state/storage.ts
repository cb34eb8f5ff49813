// The small storages of the browser. Where it forbids them (all site data blocked), memory does for as long as the page is open.

export type SmallStorage = Pick<Storage, "getItem" | "setItem">;

const inMemory = (): SmallStorage => {
  const items = new Map<string, string>();
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => void items.set(key, value) };
};

const memory = { localStorage: inMemory(), sessionStorage: inMemory() };

export function storage(kind: "localStorage" | "sessionStorage"): SmallStorage {
  try {
    return globalThis[kind]; // even to ask for it raises, where it is forbidden
  } catch {
    return memory[kind];
  }
}
