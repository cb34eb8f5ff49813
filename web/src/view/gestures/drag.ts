// Dragging what is on the canvas. React Flow says where the grabbed one is; all that goes along moves by the same way.

import type { Level, Point } from "../../model/document";
import { membersOf } from "../../model/edit/frames";
import { insertable } from "../../model/edit/links";
import { boxOf, snapped } from "../../model/edit/size";
import { all } from "../../model/changes";
import { INPUTS, OUTPUTS, type FrameId, type LinkId, type NodeId, type RerouteId } from "../../model/ids";
import type { Controller } from "../controller";
import { distanceTo, pieces, pointsOf, type LinkStyle, type Scene } from "../links/geometry";
import { flowId, named } from "../names";
import { NOTHING } from "../view-store";

export interface Drag {
  readonly grabbed: string;
  /** Where everything that moves was at the start. */
  readonly from: ReadonlyMap<string, Point>;
  readonly copies: boolean;
  cancelled: boolean;
}

/** Select what is grabbed, unless it is; with `adds` the rest stays selected. */
export function selectOne(controller: Controller, id: string, adds: boolean, keeps: boolean): void {
  const item = named(id);
  const { selection } = controller.shown();
  const kind = item.kind === "node" ? "nodes" : item.kind === "frame" ? "frames" : "reroutes";
  if (item.kind === "end") return adds ? undefined : controller.select({});
  const has = (selection[kind] as ReadonlySet<string>).has(item.id);
  if (!adds) {
    if (!(keeps && has)) controller.select({ [kind]: new Set([item.id]) });
    return;
  }
  const ids = new Set<string>(selection[kind] as ReadonlySet<string>);
  if (!has) ids.add(item.id);
  else if (!keeps) ids.delete(item.id);
  controller.select({ ...selection, [kind]: ids });
}

export function startDrag(controller: Controller, grabbed: string, copies: boolean): Drag {
  const { level } = controller.shown();
  const from = new Map<string, Point>();
  for (const id of movedWith(controller, grabbed)) {
    const at = placeOf(level, id);
    if (at !== undefined) from.set(id, at);
  }
  if (copies) controller.view.getState().set({ ghosts: new Set(from.keys()) });
  return { grabbed, from, copies, cancelled: false };
}

/** All that is selected, what lies in the frames among it, and what is grabbed. Pinned nodes stay. */
function movedWith(controller: Controller, grabbed: string): Set<string> {
  const { document, level, types, selection } = controller.shown();
  const moved = new Set([grabbed]);
  const take = (id: NodeId): unknown => level.nodes.get(id)?.pinned === false && moved.add(flowId.node(id));
  selection.nodes.forEach(take);
  for (const id of selection.reroutes) moved.add(flowId.reroute(id));
  for (const id of selection.frames) {
    moved.add(flowId.frame(id));
    const frame = level.frames.get(id);
    if (frame === undefined) continue;
    const members = membersOf(document, level, frame, types);
    members.nodes.forEach(take);
    for (const inner of members.frames) moved.add(flowId.frame(inner));
    for (const inner of members.reroutes) moved.add(flowId.reroute(inner));
  }
  return moved;
}

function placeOf(level: Level, id: string): Point | undefined {
  const item = named(id);
  switch (item.kind) {
    case "node":
      return level.nodes.get(item.id)?.position;
    case "frame":
      return level.frames.get(item.id)?.position;
    case "reroute":
      return level.reroutes.get(item.id)?.position;
    case "end":
      return item.id === INPUTS ? level.definition?.inputPosition : level.definition?.outputPosition;
  }
}

/** `to` is where React Flow puts the corner of the grabbed one. */
export function moveDrag(controller: Controller, drag: Drag, to: Point, how: { readonly snap: boolean; readonly style: LinkStyle; readonly row: number }): void {
  const start = drag.from.get(drag.grabbed);
  if (drag.cancelled || start === undefined) return;
  const isPoint = named(drag.grabbed).kind === "reroute";
  const wanted = isPoint ? { x: to.x + 8, y: to.y + 8 } : to;
  const at = how.snap ? snapped(wanted) : { x: Math.round(wanted.x), y: Math.round(wanted.y) };
  const by = { x: at.x - start.x, y: at.y - start.y };
  const dragged = new Map([...drag.from].map(([id, point]) => [id, { x: point.x + by.x, y: point.y + by.y }]));
  controller.view.getState().set({ dragged, insertInto: linkUnder(controller, drag, by, how), hovered: undefined });
}

/** The link that a single node without links could be put into. */
function linkUnder(controller: Controller, drag: Drag, by: Point, how: { readonly style: LinkStyle; readonly row: number }): LinkId | undefined {
  const item = named(drag.grabbed);
  const { document, level, types } = controller.shown();
  const node = item.kind === "node" ? level.nodes.get(item.id) : undefined;
  if (node === undefined || drag.from.size !== 1 || drag.copies) return undefined;
  const box = boxOf(document, node, types);
  const middle = { x: box.x + by.x + box.width / 2, y: box.y + by.y + Math.min(box.height / 2, 40) };
  const { anchors } = controller.view.getState();
  const scene: Scene = { document, level, types, row: how.row, anchors, dragged: NOTHING, resized: NOTHING };
  let best: { id: LinkId; far: number } | undefined;
  for (const link of level.links.values()) {
    if (link.from.node === node.id || link.to.node === node.id) continue;
    const far = farFrom(pointsOf(scene, link) ?? [], middle, how.style);
    if (far < (best?.far ?? NEAR) && insertable(document, level, node.id, link.id, types)) best = { id: link.id, far };
  }
  return best?.id;
}

const NEAR = 48;

function farFrom(points: readonly Point[], at: Point, style: LinkStyle): number {
  const [xs, ys] = [points.map((each) => each.x), points.map((each) => each.y)];
  const outside = at.y < Math.min(...ys) - NEAR || at.y > Math.max(...ys) + NEAR || at.x < Math.min(...xs) - NEAR || at.x > Math.max(...xs) + NEAR;
  return outside ? Infinity : distanceTo(pieces(points, style), at);
}

export function endDrag(controller: Controller, drag: Drag): void {
  const { dragged, insertInto, set } = controller.view.getState();
  set({ dragged: NOTHING, ghosts: new Set(), insertInto: undefined });
  if (drag.cancelled || dragged.size === 0) return;
  const start = drag.from.get(drag.grabbed);
  const end = dragged.get(drag.grabbed);
  if (start === undefined || end === undefined || (start.x === end.x && start.y === end.y)) return;
  if (drag.copies) return controller.dropCopies({ x: end.x - start.x, y: end.y - start.y });
  drop(controller, dragged, drag.grabbed, insertInto);
}

function drop(controller: Controller, dragged: ReadonlyMap<string, Point>, grabbed: string, into: LinkId | undefined): void {
  const nodes = new Map<NodeId, Point>();
  const frames = new Map<FrameId, Point>();
  const reroutes = new Map<RerouteId, Point>();
  for (const [id, at] of dragged) {
    const item = named(id);
    if (item.kind === "node") nodes.set(item.id, at);
    else if (item.kind === "frame") frames.set(item.id, at);
    else if (item.kind === "reroute") reroutes.set(item.id, at);
    else moveEnd(controller, item.id, at);
  }
  const item = named(grabbed);
  controller.drop({ nodes, frames, reroutes }, into !== undefined && item.kind === "node" ? { node: item.id, link: into } : undefined);
}

function moveEnd(controller: Controller, id: NodeId, at: Point): void {
  const { level } = controller.shown();
  if (level.definition === undefined || (id !== INPUTS && id !== OUTPUTS)) return;
  const definition = { ...level.definition, [id === INPUTS ? "inputPosition" : "outputPosition"]: at };
  controller.edit(all({ kind: "define-level", id: level.id, definition }), "move");
}

export function cancelDrag(controller: Controller, drag: Drag): void {
  drag.cancelled = true;
  controller.view.getState().set({ dragged: NOTHING, ghosts: new Set(), insertInto: undefined });
}
