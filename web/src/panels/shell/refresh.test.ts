import { expect, test } from "vitest";
import { TYPES } from "../../model/edit/testing";
import { readText, writeWorkflow } from "../../model/formats";
import { nodeId, ROOT } from "../../model/ids";
import { writeJson, type Json } from "../../model/json";
import type { NodeTypes } from "../../model/types";
import { createMemoryStore, replay } from "../../state/drafts";
import { createWorkbench } from "../../state/workbench";
import { createWorkspaceStore, type Tab } from "../../state/workspace";
import { refresh } from "./refresh";

const FILE: Json = {
  id: "w",
  nodes: [
    { id: 1, type: "Number", outputs: [{ name: "数", type: "INT", links: [1] }], widgets_values: [5] },
    {
      id: 2, type: "Resize",
      inputs: [{ name: "how.width", type: "INT", link: 1, widget: { name: "how.width" } }],
      widgets_values: ["size", 64, 32, "lanczos"],
    },
  ],
  links: [[1, 1, 0, 2, 0, "INT"]],
  version: 0.4,
};
const TEXT = writeJson(FILE, 0);
const NEVER = { isOutdated: () => Promise.resolve(false) };

function opened(types: NodeTypes) {
  const workspace = createWorkspaceStore();
  workspace.getState().setTypes(types);
  const store = createMemoryStore();
  const bench = createWorkbench({ workspace, store, session: "me" });
  const read = readText(TEXT, types);
  if (!read.ok) throw read.error;
  const tab = bench.open({ document: read.document, title: "A" });
  return { workspace, store, bench, tab };
}
const client = (types: NodeTypes) => ({ nodeTypes: () => Promise.resolve(types) });
const valuesIn = (tab: Tab): Json | undefined => tab.document.getState().document.levels.get(ROOT)?.nodes.get(nodeId(2))?.values;
const NAMED = { how: "size", "how.width": 64, "how.height": 32, method: "lanczos" };

test("documents that were opened without node types get the names of their values when those arrive", async () => {
  const { workspace, bench, tab, store } = opened(new Map());
  expect(valuesIn(tab)).toEqual({});
  await refresh({ client: client(TYPES), workspace, bench }, NEVER, false);
  expect(valuesIn(tab)).toEqual(NAMED);
  const { document } = tab.document.getState();
  expect(document.levels.get(ROOT)?.links.values().next().value?.from.slot).toBe("INT");
  expect(tab.unsaved).toBe(false);
  expect(writeWorkflow(document, TYPES)).toBe(TEXT);
  await bench.journal.flush();
  const [draft] = await store.load();
  expect(draft === undefined ? undefined : replay(draft)).toEqual(document);
});

test("types that the server has only after it was away are learnt, and what is edited then is kept", async () => {
  const known = new Map([...TYPES].filter(([name]) => name !== "Resize"));
  const { workspace, bench, tab, store } = opened(known);
  tab.document.getState().edit({ kind: "patch-node", level: ROOT, id: nodeId(1), patch: { values: { value: 7 } } }, "x");
  await refresh({ client: client(TYPES), workspace, bench }, NEVER, true);
  expect(valuesIn(tab)).toEqual(NAMED);
  tab.document.getState().edit({ kind: "patch-node", level: ROOT, id: nodeId(1), patch: { title: "after" } }, "x");
  await bench.journal.flush();
  const [draft] = await store.load();
  const first = (draft === undefined ? undefined : replay(draft))?.levels.get(ROOT)?.nodes.get(nodeId(1));
  expect([first?.values, first?.title]).toEqual([{ value: 7 }, "after"]);
});

test("a document whose types were all known stays as it is, with all that can be undone", async () => {
  const { workspace, bench, tab } = opened(TYPES);
  tab.document.getState().edit({ kind: "patch-node", level: ROOT, id: nodeId(1), patch: { title: "x" } }, "x");
  const before = tab.document.getState();
  await refresh({ client: client(new Map(TYPES)), workspace, bench }, NEVER, true);
  expect(tab.document.getState()).toBe(before);
});

test("drafts from a time without node types get their names when they are opened again", async () => {
  const { bench, store } = opened(new Map());
  await bench.journal.flush();
  const workspace = createWorkspaceStore();
  workspace.getState().setTypes(TYPES);
  const later = createWorkbench({ workspace, store, session: "other" });
  later.restore(await store.load(), new Set());
  const [tab] = workspace.getState().tabs;
  expect(tab === undefined ? undefined : valuesIn(tab)).toEqual(NAMED);
});
