// Drafts where the browser keeps nothing (no IndexedDB, as in some private windows): the server has the only copy. Each
// write is the whole workflow, so that whatever arrived last is complete.

import type { Document } from "../model/document";
import { isObject, parseJson, writeJson, type Json, type JsonObject } from "../model/json";
import type { DraftHead, DraftStore, StoredDraft } from "./drafts";
import { FOLDER, MAX_SERVER_DRAFTS, type DraftFiles } from "./serverDrafts";

export interface DraftFormat {
  write(document: Document): Json;
  /** Raises for what is no workflow. */
  read(text: string): Document;
}

/** `browser` tells the drafts of this browser from those of others, which are left alone. */
export function createServerStore(files: DraftFiles, format: DraftFormat, browser: string): DraftStore {
  const documents = new Map<string, Document>();
  const pathOf = (id: string): string => `${FOLDER}/${id}.json`;

  const write = (head: DraftHead, document: Document): Promise<void> => {
    documents.set(head.id, document);
    const draft = { title: head.title, time: Date.now(), browser, head: { ...head }, workflow: format.write(document) };
    return files.write(pathOf(head.id), writeJson(draft as unknown as Json));
  };

  const readDraft = async (path: string): Promise<StoredDraft[]> => {
    const data = parseJson((await files.read(`${FOLDER}/${path}`)).text, 1000);
    if (!isObject(data) || data["browser"] !== browser || data["workflow"] === undefined) return [];
    const head = headIn(data["head"]);
    if (head === undefined) return [];
    const document = format.read(writeJson(data["workflow"]));
    documents.set(head.id, document);
    return [{ head, document, sequence: 0, entries: [] }];
  };

  return {
    isWhole: true,
    setHead: async (head) => {
      const document = documents.get(head.id);
      if (document !== undefined) await write(head, document);
    },
    setSnapshot: write,
    append: () => Promise.reject(new Error("the server keeps whole drafts")),
    load: async () => {
      const known = (await files.list(FOLDER)).filter(({ path }) => path.endsWith(".json"));
      const latest = [...known].sort((left, right) => right.modified - left.modified).slice(0, MAX_SERVER_DRAFTS);
      const drafts = await Promise.allSettled(latest.map(({ path }) => readDraft(path)));
      return drafts.flatMap((draft) => (draft.status === "fulfilled" ? draft.value : []));
    },
    remove: async (id) => {
      documents.delete(id);
      await files.remove(pathOf(id));
    },
  };
}

/** The head in a draft file, which somebody may have edited. */
function headIn(data: Json | undefined): DraftHead | undefined {
  if (!isObject(data)) return undefined;
  const { id, owner, order, title, unsaved, closed, file } = data;
  if (typeof id !== "string" || typeof owner !== "string" || typeof title !== "string") return undefined;
  return {
    id,
    owner,
    title,
    order: typeof order === "number" ? order : 0,
    unsaved: unsaved !== false,
    ...(typeof closed === "number" ? { closed } : {}),
    ...fileIn(file),
  };
}

function fileIn(data: Json | undefined): Pick<DraftHead, "file"> {
  const { path, revision } = isObject(data) ? data : ({} as JsonObject);
  return typeof path === "string" && typeof revision === "string" ? { file: { path, revision } } : {};
}
