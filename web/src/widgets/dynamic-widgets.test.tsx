// @vitest-environment jsdom
import { act, cleanup, render } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { settled } from "../model/edit/settle";
import { build, TYPES } from "../model/edit/testing";
import { ROOT, type NodeId } from "../model/ids";
import { TabContext, WorkspaceContext } from "../state/context";
import { createDocumentStore } from "../state/documents";
import { createRunsStore } from "../state/runs";
import { createWorkspaceStore } from "../state/workspace";
import { NodeWidgets } from "./node-widgets";

afterEach(cleanup);

function drawn(only?: ReadonlySet<string>) {
  const graph = build(["Resize"]);
  const workspace = createWorkspaceStore();
  workspace.getState().setTypes(TYPES);
  const store = createDocumentStore(graph.document, undefined, (now, change) => settled(now, change, TYPES));
  const tab = { id: "t", title: "t", unsaved: false, document: store, runs: createRunsStore() };
  const [id] = graph.ids as [NodeId];
  const type = TYPES.get("Resize");
  if (type === undefined) throw new Error("there is one");
  render(
    <WorkspaceContext value={workspace}>
      <TabContext value={tab}>
        <NodeWidgets level={ROOT} node={id} serverId={id} type={type} {...(only === undefined ? {} : { only })} />
      </TabContext>
    </WorkspaceContext>,
  );
  const choose = (how: string): void => {
    const values = { ...store.getState().document.levels.get(ROOT)?.nodes.get(id)?.values, how };
    act(() => store.getState().edit({ kind: "patch-node", level: ROOT, id, patch: { values } }, "x"));
  };
  return { store, choose };
}
const rows = (): (string | null)[] => [...document.querySelectorAll("[data-widget]")].map((row) => row.getAttribute("data-widget"));

test("the fields that a choice brings stand below it and follow it", () => {
  const { store, choose } = drawn();
  expect(rows()).toEqual(["how", "how.factor", "method"]);
  expect(document.querySelector('[data-widget="how.factor"] .w-name')?.textContent).toBe("factor");
  choose("size");
  expect(rows()).toEqual(["how", "how.width", "how.height", "method"]);
  act(() => store.getState().undo());
  expect(rows()).toEqual(["how", "how.factor", "method"]);
});

test("a form that shows a choice shows what it brings, one that shows such a field alone shows it while it is there", () => {
  const { choose } = drawn(new Set(["how"]));
  expect(rows()).toEqual(["how", "how.factor"]);
  choose("size");
  expect(rows()).toEqual(["how", "how.width", "how.height"]);
  cleanup();
  const alone = drawn(new Set(["how.width"]));
  expect(rows()).toEqual([]);
  alone.choose("width");
  expect(rows()).toEqual(["how.width"]);
});
