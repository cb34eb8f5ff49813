import { expect, test, vi } from "vitest";
import { emptyLevel, type Document, type Node } from "../model/document";
import { nodeId, ROOT } from "../model/ids";
import { createMemoryStore, type DraftStore } from "./drafts";
import { createWorkbench, MAX_CLOSED, type Workbench } from "./workbench";
import { createWorkspaceStore, type Tab } from "./workspace";

const empty: Document = { id: "w", levels: new Map([[ROOT, emptyLevel(ROOT)]]), rest: {} };
const node = (id: number): Node => ({
  id: nodeId(id),
  type: "Toy",
  position: { x: 0, y: 0 },
  size: { width: 240, height: 80 },
  mode: "normal",
  collapsed: false,
  pinned: false,
  values: {},
  control: {},
  inputs: [],
  outputs: [],
  properties: {},
  rest: {},
});

const bench = (store: DraftStore, session = "me"): Workbench =>
  createWorkbench({ workspace: createWorkspaceStore(), store, session });
const add = (tab: Tab, id: number): void =>
  tab.document.getState().edit({ kind: "add-node", level: ROOT, node: node(id) }, "edit.addNode");
const titles = (workbench: Workbench): string[] => workbench.workspace.getState().tabs.map((tab) => tab.title);

test("tabs come back after a restart as they were, in their order, with every change", async () => {
  const store = createMemoryStore();
  const before = bench(store);
  const [first, second] = ["A", "B"].map((title) => before.open({ document: empty, title }));
  add(first as Tab, 1);
  add(first as Tab, 2);
  first?.document.getState().undo();
  first?.document.getState().undo();
  first?.document.getState().redo();
  before.move(second?.id ?? "", 0);
  await before.journal.flush();

  const after = bench(store, "another life");
  expect(after.restore(await store.load(), new Set(["another life"]))).toBe(2);
  expect(titles(after)).toEqual(["B", "A"]);
  const restored = after.workspace.getState().tabs[1];
  expect(restored?.document.getState().document).toEqual(first?.document.getState().document);
  expect(restored?.unsaved).toBe(true);
});

test("what was restored is journalled on, without what was there before", async () => {
  const store = createMemoryStore();
  const before = bench(store);
  add(before.open({ document: empty, title: "A" }), 1);
  await before.journal.flush();
  const after = bench(store);
  after.restore(await store.load(), new Set());
  await after.journal.flush();
  add(after.workspace.getState().tabs[0] as Tab, 2);
  await after.journal.flush();
  const last = bench(store);
  last.restore(await store.load(), new Set());
  expect(last.workspace.getState().tabs[0]?.document.getState().document.levels.get(ROOT)?.nodes.size).toBe(2);
});

test("drafts of another browser tab that lives are left alone", async () => {
  const store = createMemoryStore();
  const other = bench(store, "other");
  other.open({ document: empty, title: "theirs" });
  await other.journal.flush();
  expect(bench(store).restore(await store.load(), new Set(["other"]))).toBe(0);
});

test("a closed tab can be had back, also after a restart; only the last ones are kept", async () => {
  const store = createMemoryStore();
  const before = bench(store);
  for (let count = 0; count < MAX_CLOSED + 3; count++) {
    const tab = before.open({ document: empty, title: `T${count}` });
    add(tab, count);
    before.close(tab.id);
  }
  await before.journal.flush();
  const after = bench(store);
  expect(after.restore(await store.load(), new Set())).toBe(0);
  expect(after.closed()).toHaveLength(MAX_CLOSED);
  const back = after.reopen();
  expect(back?.title).toBe(`T${MAX_CLOSED + 2}`);
  expect(back?.document.getState().document.levels.get(ROOT)?.nodes.size).toBe(1);
});

test("saving clears the mark, unless something changed while it was saved", () => {
  const workbench = bench(createMemoryStore());
  const tab = workbench.open({ document: empty, title: "A" });
  add(tab, 1);
  const saved = tab.document.getState().document;
  const now = (): Tab | undefined => workbench.workspace.getState().tabs[0];
  workbench.saved(tab.id, { path: "a.json", revision: "1" }, saved);
  expect(now()?.unsaved).toBe(false);
  add(tab, 2);
  expect(now()?.unsaved).toBe(true);
  workbench.saved(tab.id, { path: "a.json", revision: "2" }, saved);
  expect(now()?.unsaved).toBe(true);
});

test("every change is heard, undo too", () => {
  const workbench = bench(createMemoryStore());
  const heard = vi.fn();
  workbench.onChange(heard);
  const tab = workbench.open({ document: empty, title: "A" });
  add(tab, 1);
  tab.document.getState().undo();
  expect(heard).toHaveBeenCalledTimes(2);
});
