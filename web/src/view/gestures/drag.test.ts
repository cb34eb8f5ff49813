import { expect, test } from "vitest";
import { frameAround } from "../../model/edit/frames";
import { addNode } from "../../model/edit/nodes";
import { build, root, run, textToImage, TYPES } from "../../model/edit/testing";
import type { NodeId } from "../../model/ids";
import { flowId } from "../names";
import { controllerOf } from "../testing";
import { cancelDrag, endDrag, moveDrag, selectOne, startDrag } from "./drag";

const how = { snap: false, style: "spline", row: 24 } as const;
const nth = (ids: readonly NodeId[], place: number): NodeId => ids[place] ?? ("" as NodeId);

function dragBy(controller: ReturnType<typeof controllerOf>["controller"], id: string, by: { x: number; y: number }, copies = false, snap = false): void {
  const drag = startDrag(controller, id, copies);
  const from = drag.from.get(id) ?? { x: 0, y: 0 };
  moveDrag(controller, drag, { x: from.x + by.x / 2, y: from.y + by.y / 2 }, { ...how, snap });
  moveDrag(controller, drag, { x: from.x + by.x, y: from.y + by.y }, { ...how, snap });
  endDrag(controller, drag);
}

test("all that is selected moves with the node that is grabbed, as one step", () => {
  const { document, ids } = textToImage();
  const { controller, documents } = controllerOf(document);
  controller.select({ nodes: new Set([nth(ids, 0), nth(ids, 1)]) });
  dragBy(controller, flowId.node(nth(ids, 0)), { x: 10, y: 20 });
  const { level } = controller.shown();
  expect(level.nodes.get(nth(ids, 0))?.position).toEqual({ x: 10, y: 20 });
  expect(level.nodes.get(nth(ids, 1))?.position).toEqual({ x: 310, y: 20 });
  expect(level.nodes.get(nth(ids, 2))?.position).toEqual({ x: 600, y: 0 });
  expect(documents.getState().history.done).toHaveLength(1);
});

test("a frame takes along what lies in it, but not pinned nodes", () => {
  const graph = textToImage();
  const pinned = run(graph.document, { kind: "patch-node", level: root(graph.document).id, id: nth(graph.ids, 1), patch: { pinned: true } });
  const framed = frameAround(pinned, root(pinned), [nth(graph.ids, 0), nth(graph.ids, 1)], "F", TYPES);
  if (framed === undefined) throw new Error("there is a frame");
  const { controller } = controllerOf(run(pinned, framed.change));
  selectOne(controller, flowId.frame(framed.id), false, true);
  dragBy(controller, flowId.frame(framed.id), { x: 0, y: 100 });
  expect(controller.shown().level.nodes.get(nth(graph.ids, 0))?.position.y).toBe(100);
  expect(controller.shown().level.nodes.get(nth(graph.ids, 1))?.position.y).toBe(0);
});

test("dragging copies leaves the originals, and the copies keep what feeds them", () => {
  const { document, ids } = textToImage();
  const { controller } = controllerOf(document);
  selectOne(controller, flowId.node(nth(ids, 3)), false, true);
  dragBy(controller, flowId.node(nth(ids, 3)), { x: 0, y: 400 }, true);
  const { level, selection } = controller.shown();
  expect(level.nodes.size).toBe(6);
  expect(level.nodes.get(nth(ids, 3))?.position).toEqual({ x: 900, y: 0 });
  const [copy] = selection.nodes;
  expect([...level.links.values()].filter((link) => link.to.node === copy)).toHaveLength(2);
});

test("a drag that is called off changes nothing, and neither does one that comes back", () => {
  const { document, ids } = textToImage();
  const { controller, documents } = controllerOf(document);
  const drag = startDrag(controller, flowId.node(nth(ids, 0)), false);
  moveDrag(controller, drag, { x: 50, y: 50 }, how);
  cancelDrag(controller, drag);
  moveDrag(controller, drag, { x: 90, y: 90 }, how);
  endDrag(controller, drag);
  dragBy(controller, flowId.node(nth(ids, 0)), { x: 0, y: 0 });
  expect(documents.getState().history.done).toHaveLength(0);
  expect(controller.view.getState().dragged.size).toBe(0);
});

test("with snap a node comes to lie on the grid", () => {
  const { document, ids } = textToImage();
  const { controller } = controllerOf(document);
  dragBy(controller, flowId.node(nth(ids, 0)), { x: 13, y: 3 }, false, true);
  expect(controller.shown().level.nodes.get(nth(ids, 0))?.position).toEqual({ x: 16, y: 0 });
});

test("a node that is dropped on a link that fits is put into it, and undo takes both back at once", () => {
  const graph = build(["Decode", "Save"], [[0, "IMAGE", 1, "images"]]);
  const type = TYPES.get("Scale");
  if (type === undefined) throw new Error("the type is there");
  const made = addNode(graph.document, root(graph.document), type, { x: 0, y: 600 });
  const { controller, documents } = controllerOf(run(graph.document, made.change));
  const id = flowId.node(made.node.id);
  const drag = startDrag(controller, id, false);
  moveDrag(controller, drag, { x: 270 - made.node.size.width / 2, y: 20 }, how);
  expect(controller.view.getState().insertInto).toBeDefined();
  endDrag(controller, drag);
  expect(controller.shown().level.links.size).toBe(2);
  documents.getState().undo();
  expect(controller.shown().level.links.size).toBe(1);
  expect(controller.shown().level.nodes.get(made.node.id)?.position).toEqual({ x: 0, y: 600 });
});
