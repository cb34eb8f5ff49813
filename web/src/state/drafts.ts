// Drafts: what is open, kept beside the files so that nothing is lost. A draft is a snapshot of the document and the
// changes since. Where they are kept is behind `DraftStore` (IndexedDB in the browser, memory in tests).

import { apply, type Change } from "../model/changes";
import type { Document } from "../model/document";
import type { Tab } from "./workspace";

export interface DraftHead {
  /** The id of the tab. */
  readonly id: string;
  /** The browser tab that has it open; another one leaves it alone while that one lives. */
  readonly owner: string;
  readonly order: number;
  readonly title: string;
  readonly file?: Tab["file"];
  readonly unsaved: boolean;
  /** When it was closed; absent while it is open. */
  readonly closed?: number;
}

export interface Entry {
  readonly sequence: number;
  readonly change: Change;
}

export interface StoredDraft {
  readonly head: DraftHead;
  readonly document: Document;
  /** The sequence of the last change that the snapshot holds. */
  readonly sequence: number;
  readonly entries: readonly Entry[];
}

export interface DraftStore {
  /** It keeps snapshots only, no changes. */
  readonly isWhole?: true;
  /** Keep the head alone: a new title, another place. */
  setHead(head: DraftHead): Promise<void>;
  /** Keep a snapshot, and forget all changes that were kept: it holds them, or they were of another life. */
  setSnapshot(head: DraftHead, document: Document, sequence: number): Promise<void>;
  append(id: string, entries: readonly Entry[]): Promise<void>;
  load(): Promise<readonly StoredDraft[]>;
  remove(id: string): Promise<void>;
}

/** The document of a draft: the snapshot and, in order, each change after it. What does not fit ends the replay. */
export function replay(draft: StoredDraft): Document {
  const entries = [...draft.entries].sort((left, right) => left.sequence - right.sequence);
  let document = draft.document;
  let last = draft.sequence;
  for (const entry of entries) {
    if (entry.sequence <= last) continue;
    if (entry.sequence !== last + 1) break; // a gap: what follows was made upon something that is not there
    try {
      document = apply(document, entry.change).document;
    } catch {
      break;
    }
    last = entry.sequence;
  }
  return document;
}

/** Drafts in memory; for tests, and where the browser has no IndexedDB. */
export function createMemoryStore(): DraftStore {
  const drafts = new Map<string, StoredDraft>();
  const later = <T>(work: () => T): Promise<T> => Promise.resolve().then(work);
  return {
    setHead: (head) =>
      later(() => {
        const draft = drafts.get(head.id);
        if (draft !== undefined) drafts.set(head.id, { ...draft, head });
      }),
    setSnapshot: (head, document, sequence) =>
      later(() => {
        drafts.set(head.id, { head, document, sequence, entries: [] });
      }),
    append: (id, entries) =>
      later(() => {
        const draft = drafts.get(id);
        if (draft !== undefined) drafts.set(id, { ...draft, entries: [...draft.entries, ...entries] });
      }),
    load: () => later(() => [...drafts.values()]),
    remove: (id) =>
      later(() => {
        drafts.delete(id);
      }),
  };
}
