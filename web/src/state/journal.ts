// The draft journal: hears every change of every open document and appends it to the draft store, at the latest a
// quarter of a second later. Writes are in order, one after another; what failed is tried again.

import type { Change } from "../model/changes";
import type { Document } from "../model/document";
import type { DraftHead, DraftStore, Entry } from "./drafts";

export const DELAY_MS = 250;
const RETRY_MS = 2000;
/** After so many changes the draft becomes a new snapshot, so that replaying stays fast. */
export const COMPACT_AFTER = 300;

export interface Journal {
  /** Begin to keep a document, as it is now. */
  watch(head: DraftHead, document: Document): void;
  changed(id: string, document: Document, change: Change): void;
  /** Keep `document` from now on, whatever was heard of it before. */
  rewrite(id: string, document: Document): void;
  setHead(id: string, patch: Partial<Omit<DraftHead, "id">>): void;
  headOf(id: string): DraftHead | undefined;
  /** Write now what is not written yet. */
  flush(): Promise<void>;
  /** Whether all that was changed is in the store. */
  holds(id: string): boolean;
  forget(id: string): void;
}

interface Watched {
  head: DraftHead;
  document: Document;
  sequence: number;
  /** Changes that are not in the store yet. */
  waiting: Entry[];
  sinceSnapshot: number;
  needs: "nothing" | "head" | "snapshot";
}

/** `onHealth` hears whether the last write succeeded, with the reason if it did not. */
export function createJournal(store: DraftStore, onHealth: (problem?: string) => void = () => undefined): Journal {
  const watched = new Map<string, Watched>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let writing: Promise<void> = Promise.resolve();

  const wake = (delay: number): void => {
    timer ??= setTimeout(() => void flush(), delay);
  };

  const write = async (entry: Watched): Promise<void> => {
    const { waiting, needs } = entry;
    if (waiting.length === 0 && needs === "nothing") return;
    entry.waiting = [];
    entry.needs = "nothing";
    const compact = store.isWhole === true ? waiting.length > 0 || needs === "snapshot" : needs === "snapshot" || entry.sinceSnapshot + waiting.length > COMPACT_AFTER;
    try {
      if (compact) {
        await store.setSnapshot(entry.head, entry.document, entry.sequence);
        entry.sinceSnapshot = 0;
      } else {
        if (waiting.length > 0) await store.append(entry.head.id, waiting);
        entry.sinceSnapshot += waiting.length;
        if (needs === "head") await store.setHead(entry.head);
      }
    } catch (error) {
      entry.waiting = [...waiting, ...entry.waiting];
      entry.needs = "snapshot"; // whatever half of it arrived, the snapshot makes it whole
      throw error;
    }
  };

  const writeAll = async (): Promise<void> => {
    try {
      for (const entry of watched.values()) await write(entry);
      onHealth();
    } catch (error) {
      onHealth(error instanceof Error ? error.message : String(error));
      wake(RETRY_MS);
    }
  };

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(writeAll);
    return writing;
  };

  return {
    watch: (head, document) => {
      watched.set(head.id, { head, document, sequence: 0, waiting: [], sinceSnapshot: 0, needs: "snapshot" });
      wake(0);
    },
    changed: (id, document, change) => {
      const entry = watched.get(id);
      if (entry === undefined) return;
      entry.document = document;
      entry.waiting.push({ sequence: ++entry.sequence, change });
      wake(DELAY_MS);
    },
    rewrite: (id, document) => {
      const entry = watched.get(id);
      if (entry === undefined) return;
      entry.document = document;
      entry.waiting = [];
      entry.needs = "snapshot";
      wake(0);
    },
    setHead: (id, patch) => {
      const entry = watched.get(id);
      if (entry === undefined) return;
      entry.head = { ...entry.head, ...patch };
      if (entry.needs === "nothing") entry.needs = "head";
      wake(DELAY_MS);
    },
    headOf: (id) => watched.get(id)?.head,
    flush,
    holds: (id) => {
      const entry = watched.get(id);
      return entry !== undefined && entry.waiting.length === 0 && entry.needs !== "snapshot";
    },
    forget: (id) => {
      watched.delete(id);
      writing = writing.then(() => store.remove(id)).catch(() => undefined);
    },
  };
}
