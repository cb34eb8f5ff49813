// Drafts in IndexedDB. Documents and changes are plain data with maps and bigints, which structured clone keeps exactly.

import type { Document } from "../model/document";
import type { DraftHead, DraftStore, Entry, StoredDraft } from "./drafts";

const NAME = "easel-drafts";
const VERSION = 1;

interface SnapshotRow {
  readonly id: string;
  readonly document: Document;
  readonly sequence: number;
}
interface ChangeRow extends Entry {
  readonly id: string;
}

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });

const finished = (transaction: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("IndexedDB gave up"));
    transaction.onerror = () => reject(transaction.error ?? new Error("IndexedDB failed"));
  });

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    const database = request.result;
    database.createObjectStore("heads", { keyPath: "id" });
    database.createObjectStore("snapshots", { keyPath: "id" });
    database.createObjectStore("changes", { keyPath: ["id", "sequence"] });
  };
  return settled(request);
}

const changesOf = (id: string): IDBKeyRange => IDBKeyRange.bound([id, -Infinity], [id, Infinity]);
const TABLES = ["heads", "snapshots", "changes"] as const;

/** The drafts of this browser. Raises where it has no IndexedDB (some private windows). */
export async function openDraftsDb(): Promise<DraftStore> {
  const database = await openDatabase();
  const write = async (work: (table: (name: (typeof TABLES)[number]) => IDBObjectStore) => void): Promise<void> => {
    // Relaxed is what browsers default to; strict asks for the disk, so that a crash of the machine loses no more.
    const transaction = database.transaction(TABLES, "readwrite", { durability: "strict" });
    work((name) => transaction.objectStore(name));
    await finished(transaction);
  };
  return {
    setHead: (head) => write((table) => void table("heads").put(head)),
    setSnapshot: (head, document, sequence) =>
      write((table) => {
        table("heads").put(head);
        table("snapshots").put({ id: head.id, document, sequence } satisfies SnapshotRow);
        table("changes").delete(changesOf(head.id));
      }),
    append: (id, entries) =>
      write((table) => {
        for (const entry of entries) table("changes").put({ ...entry, id } satisfies ChangeRow);
      }),
    remove: (id) =>
      write((table) => {
        table("heads").delete(id);
        table("snapshots").delete(id);
        table("changes").delete(changesOf(id));
      }),
    load: () => load(database),
  };
}

async function load(database: IDBDatabase): Promise<readonly StoredDraft[]> {
  const transaction = database.transaction(TABLES, "readonly");
  const heads = (await settled(transaction.objectStore("heads").getAll())) as DraftHead[];
  const snapshots = (await settled(transaction.objectStore("snapshots").getAll())) as SnapshotRow[];
  const rows = (await settled(transaction.objectStore("changes").getAll())) as ChangeRow[];
  return heads.flatMap((head) => {
    const snapshot = snapshots.find((row) => row.id === head.id);
    if (snapshot === undefined) return [];
    const entries = rows.filter((row) => row.id === head.id);
    return [{ head, document: snapshot.document, sequence: snapshot.sequence, entries }];
  });
}
