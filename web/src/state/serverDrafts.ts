// The second copy of drafts, on the server: where the browser lost its own (another browser, cleared storage), it is there.

import { isObject, parseJson, writeJson, type Json } from "../model/json";
import type { Tab } from "./workspace";

export const FOLDER = "drafts";
/** Between two writes, in milliseconds: short, but with ten times the time that writing takes (large workflows). */
export const SERVER_DELAY = { least: 600, most: 4000, share: 10 } as const;
export const MAX_SERVER_DRAFTS = 50;

export interface ServerDraft {
  readonly id: string;
  readonly title: string;
  readonly time: number;
  readonly workflow: Json;
}

/** As much of the user's files as drafts need. */
export interface DraftFiles {
  list(folder: string): Promise<readonly { readonly path: string; readonly modified: number }[]>;
  read(path: string): Promise<{ readonly text: string }>;
  write(path: string, text: string): Promise<void>;
  remove(path: string): Promise<void>;
}

export interface ServerDrafts {
  /** Something changed: it is written a little later. */
  changed(tab: Tab): void;
  /** The file has it now, so no draft is needed. */
  drop(id: string): void;
  flush(): Promise<void>;
  list(): Promise<readonly { readonly id: string; readonly modified: number }[]>;
  read(id: string): Promise<ServerDraft>;
}

export function createServerDrafts(files: DraftFiles, write: (tab: Tab) => Json): ServerDrafts {
  const waiting = new Map<string, Tab>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let working: Promise<void> = Promise.resolve();
  const pathOf = (id: string): string => `${FOLDER}/${id}.json`;

  let delay: number = SERVER_DELAY.least;

  const send = async (): Promise<void> => {
    const tabs = [...waiting.values()];
    waiting.clear();
    for (const tab of tabs) {
      try {
        const begun = performance.now();
        const text = writeJson({ title: tab.title, time: Date.now(), workflow: write(tab) });
        delay = Math.min(SERVER_DELAY.most, Math.max(SERVER_DELAY.least, SERVER_DELAY.share * (performance.now() - begun)));
        await files.write(pathOf(tab.id), text);
      } catch {
        if (!waiting.has(tab.id)) waiting.set(tab.id, tab); // the browser has it; the next change tries again
      }
    }
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    working = working.then(send);
    return working;
  };
  const list = async (): Promise<{ id: string; modified: number }[]> => {
    const infos = await files.list(FOLDER);
    return infos
      .filter((info) => info.path.endsWith(".json"))
      .map((info) => ({ id: info.path.replace(/\.json$/, ""), modified: info.modified }))
      .sort((left, right) => right.modified - left.modified);
  };

  return {
    changed: (tab) => {
      waiting.set(tab.id, tab);
      timer ??= setTimeout(() => void flush(), delay);
    },
    drop: (id) => {
      waiting.delete(id);
      working = working.then(() => files.remove(pathOf(id))).catch(() => undefined);
    },
    flush,
    list: async () => {
      const known = await list();
      await Promise.allSettled(known.slice(MAX_SERVER_DRAFTS).map(({ id }) => files.remove(pathOf(id))));
      return known.slice(0, MAX_SERVER_DRAFTS);
    },
    read: async (id) => {
      const { text } = await files.read(pathOf(id));
      const data = parseJson(text, 1000);
      if (!isObject(data) || data["workflow"] === undefined) throw new Error("the draft is damaged");
      const { title, time } = data;
      const name = typeof title === "string" ? title : id;
      return { id, title: name, time: typeof time === "number" ? time : 0, workflow: data["workflow"] };
    },
  };
}
