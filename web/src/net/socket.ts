// The socket `/ws`: it comes back by itself, and says when it did, so that what was missed is fetched.

import type { JsonObject } from "../model/json";
import type { Preview } from "./frames";
import { readPreview } from "./frames";
import { readJson } from "./http";
import { socketMessage } from "./schemas";

export type Heard =
  /** The line is there; `again` if it had been lost before. */
  | { readonly kind: "open"; readonly again: boolean }
  | { readonly kind: "lost" }
  | { readonly kind: "message"; readonly type: string; readonly data: JsonObject }
  | { readonly kind: "preview"; readonly preview: Preview };

export type Listener = (heard: Heard) => void;

export interface Connection {
  readonly isOpen: () => boolean;
  /** Hear everything from now on; the answer ends it. */
  listen(listener: Listener): () => void;
  /** Try now, not only when the wait is over. */
  retry(): void;
  close(): void;
}

export interface ConnectOptions {
  readonly url: string;
  readonly clientId: string;
  readonly makeSocket?: (url: string) => WebSocket;
  /** How long to wait before the attempt of a number, from 0, in milliseconds. */
  readonly wait?: (attempt: number) => number;
}

const FIRST_WAIT = 250;
const LONGEST_WAIT = 8_000;

/** Twice as long each time, and never all pages at the same moment. */
export const backoff = (attempt: number, random: () => number = Math.random): number =>
  Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** attempt) * (0.5 + random() / 2);

/** The address of the socket of a server that is at `base` (an origin and a path, or empty for this page's). */
export function socketUrl(base: string, clientId: string, page = globalThis.location?.href): string {
  const url = new URL(`${base}/ws`, page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("clientId", clientId);
  return url.href;
}

export function connect(options: ConnectOptions): Connection {
  const { makeSocket = (url: string) => new WebSocket(url), wait = backoff } = options;
  const listeners = new Set<Listener>();
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let [attempt, opened, closed] = [0, false, false];

  const tell = (heard: Heard): void => {
    for (const listener of [...listeners]) listener(heard);
  };

  const open = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const now = makeSocket(socketUrl(options.url, options.clientId));
    socket = now;
    now.binaryType = "arraybuffer";
    now.onopen = () => {
      attempt = 0;
      // The server takes this as the first message only.
      now.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
      tell({ kind: "open", again: opened });
      opened = true;
    };
    now.onmessage = (event: MessageEvent<unknown>) => {
      const heard = read(event.data);
      if (heard !== undefined && now === socket) tell(heard);
    };
    now.onclose = () => {
      if (now !== socket) return;
      socket = undefined;
      if (attempt === 0) tell({ kind: "lost" });
      if (!closed) timer = setTimeout(open, wait(attempt++));
    };
  };

  const retry = (): void => {
    if (closed || socket !== undefined) return;
    attempt = 0;
    open();
  };

  open();
  // A machine that wakes up or finds its network again need not wait.
  globalThis.window?.addEventListener("online", retry);
  globalThis.document?.addEventListener("visibilitychange", retry);
  return {
    isOpen: () => socket?.readyState === 1,
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    retry,
    close: () => {
      closed = true;
      clearTimeout(timer);
      globalThis.window?.removeEventListener("online", retry);
      globalThis.document?.removeEventListener("visibilitychange", retry);
      socket?.close();
    },
  };
}

function read(data: unknown): Heard | undefined {
  if (data instanceof ArrayBuffer) {
    const preview = readPreview(data);
    return preview === undefined ? undefined : { kind: "preview", preview };
  }
  if (typeof data !== "string") return undefined;
  try {
    const message = socketMessage.safeParse(readJson(data));
    return message.success ? { kind: "message", ...message.data } : undefined;
  } catch {
    return undefined;
  }
}
