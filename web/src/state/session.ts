// Which browser tab this is, and which others live: drafts of a living one are left alone, those of a dead one restored.

import { storage } from "./storage";

const KEY = "easel.session";
const CHANNEL = "easel";
const ANSWER_MS = 150;

export type Message =
  | { readonly kind: "who" }
  | { readonly kind: "here"; readonly session: string }
  /** A file was saved, so others that have it open are behind. */
  | { readonly kind: "saved"; readonly path: string; readonly revision: string }
  | { readonly kind: "opened"; readonly path: string };

export interface Session {
  readonly id: string;
  /** Tell the other browser tabs. */
  tell(message: Message): void;
  listen(heard: (message: Message) => void): () => void;
  /** The sessions that lived when this one began, itself included. */
  readonly living: ReadonlySet<string>;
}

/** A session of this browser tab; the id survives a reload, but a duplicated tab gets its own. */
export async function startSession(): Promise<Session> {
  const channel = new BroadcastChannel(CHANNEL);
  const tell = (message: Message): void => channel.postMessage(message);
  const listen = (heard: (message: Message) => void): (() => void) => {
    const listener = (event: MessageEvent): void => heard(event.data as Message);
    channel.addEventListener("message", listener);
    return () => channel.removeEventListener("message", listener);
  };
  const others = (): Promise<Set<string>> =>
    new Promise((resolve) => {
      const found = new Set<string>();
      const stop = listen((message) => {
        if (message.kind === "here") found.add(message.session);
      });
      tell({ kind: "who" });
      setTimeout(() => {
        stop();
        resolve(found);
      }, ANSWER_MS);
    });

  const living = await others();
  // A duplicated browser tab starts with a copy of the other's storage: then the id lives already.
  const known = storage("sessionStorage").getItem(KEY);
  const id = known !== null && !living.has(known) ? known : newId();
  storage("sessionStorage").setItem(KEY, id);
  listen((message) => {
    if (message.kind === "who") tell({ kind: "here", session: id });
  });
  return { id, tell, listen, living: living.add(id) };
}

/** A UUID, also on plain http from another machine, where crypto.randomUUID is absent. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const digits = [...bytes].map((byte, place) => {
    const fixed = place === 6 ? (byte & 0x0f) | 0x40 : place === 8 ? (byte & 0x3f) | 0x80 : byte;
    return fixed.toString(16).padStart(2, "0");
  });
  return digits.join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
