import { expect, test } from "vitest";
import { emptyLevel, type Document } from "../model/document";
import { ROOT } from "../model/ids";
import type { Json } from "../model/json";
import { replay, type DraftHead } from "./drafts";
import { createJournal } from "./journal";
import type { DraftFiles } from "./serverDrafts";
import { createServerStore, type DraftFormat } from "./serverStore";

const document = (id: string): Document => ({ id, levels: new Map([[ROOT, emptyLevel(ROOT)]]), rest: {} });
const format: DraftFormat = {
  write: ({ id }) => ({ id }),
  read: (text) => document((JSON.parse(text) as { id: string }).id),
};
const head: DraftHead = { id: "t", owner: "me", order: 1, title: "A", unsaved: true, file: { path: "a.json", revision: "1" } };

function memoryFiles(): DraftFiles & { readonly texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return {
    texts,
    list: (folder) => Promise.resolve([...texts.keys()].map((path, modified) => ({ path: path.slice(folder.length + 1), modified }))),
    read: (path) => Promise.resolve({ text: texts.get(path) ?? "" }),
    write: (path, text) => Promise.resolve(void texts.set(path, text)),
    remove: (path) => Promise.resolve(void texts.delete(path)),
  };
}

test("what the journal writes comes back whole, in this browser only", async () => {
  const files = memoryFiles();
  const journal = createJournal(createServerStore(files, format, "mine"));
  journal.watch(head, document("first"));
  await journal.flush();
  journal.changed("t", document("second"), { kind: "all", changes: [] });
  await journal.flush();
  journal.setHead("t", { title: "B" });
  await journal.flush();
  const [draft, ...more] = await createServerStore(files, format, "mine").load();
  expect(more).toEqual([]);
  if (draft === undefined) throw new Error("there is no draft");
  expect([draft.head, replay(draft).id]).toEqual([{ ...head, title: "B" }, "second"]);
  expect(await createServerStore(files, format, "other").load()).toEqual([]);
});

test("damaged drafts and those of others do not keep the rest from being opened", async () => {
  const files = memoryFiles();
  const good = { browser: "mine", head: { ...head } as unknown as Json, workflow: { id: "w" } };
  const texts = ["{", "[]", "{}", JSON.stringify({ ...good, head: 5 }), JSON.stringify({ ...good, workflow: undefined }), JSON.stringify(good)];
  for (const [place, text] of texts.entries()) files.texts.set(`drafts/${place}.json`, text);
  const store = createServerStore(files, format, "mine");
  expect((await store.load()).map((draft) => draft.head.id)).toEqual(["t"]);
  await store.remove("5");
  expect(files.texts.size).toBe(5);
});
