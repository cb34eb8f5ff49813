// A plain layout for documents without positions: left to right by depth, each column centred on what feeds it.

import type { Level, Node, Point, Size } from "../../document";
import type { NodeId } from "../../ids";
import type { NodeType } from "../../types";

const ROW = 24;
const TITLE = 32;
const WIDTH = 260;
const WIDE = 360;
const MULTILINE = 120;
const PICTURE = 240;
const COLUMN_GAP = 80;
const ROW_GAP = 40;

/** How large a node of a type is drawn, roughly: slots share rows, widgets have their own. */
export function estimatedSize(type: NodeType | undefined, slots: { inputs: number; outputs: number }): Size {
  const widgets = type?.inputs.flatMap((input) => (input.widget === undefined ? [] : [input.widget])) ?? [];
  const sockets = type === undefined ? slots.inputs : type.inputs.length - widgets.length;
  const outputs = Math.max(type?.outputs.length ?? 0, slots.outputs);
  const isLong = (widget: (typeof widgets)[number]): boolean => widget.kind === "text" && widget.multiline;
  const heights = widgets.map((widget) => (isLong(widget) ? MULTILINE : ROW));
  const shows = type?.isOutput === true || widgets.some((widget) => widget.kind === "choice" && widget.upload === "image");
  const height = TITLE + Math.max(sockets, outputs, 1) * ROW + heights.reduce((sum, one) => sum + one, 0);
  return { width: widgets.some(isLong) ? WIDE : WIDTH, height: height + (shows ? PICTURE : 0) };
}

/** Positions for the nodes of a level. */
export function laidOut(level: Level): Map<NodeId, Point> {
  const sources = new Map<NodeId, NodeId[]>();
  const targets = new Map<NodeId, NodeId[]>();
  for (const { from, to } of level.links.values()) {
    if (!level.nodes.has(from.node) || !level.nodes.has(to.node)) continue;
    sources.set(to.node, [...(sources.get(to.node) ?? []), from.node]);
    targets.set(from.node, [...(targets.get(from.node) ?? []), to.node]);
  }
  const columns = new Map<number, Node[]>();
  for (const [id, depth] of depths([...level.nodes.keys()], sources, targets)) {
    const node = level.nodes.get(id);
    if (node !== undefined) columns.set(depth, [...(columns.get(depth) ?? []), node]);
  }
  return placed(columns, sources);
}

type Neighbours = ReadonlyMap<NodeId, readonly NodeId[]>;

/** The longest way from a start, by id; nodes without inputs stand just before what they feed. */
function depths(ids: readonly NodeId[], sources: Neighbours, targets: Neighbours): Map<NodeId, number> {
  const waiting = new Map(ids.map((id) => [id, sources.get(id)?.length ?? 0]));
  const depth = new Map<NodeId, number>(ids.map((id) => [id, 0]));
  const ready = ids.filter((id) => waiting.get(id) === 0);
  for (let at = 0; at < ready.length; at++) {
    const id = ready[at];
    if (id === undefined) break;
    for (const target of targets.get(id) ?? []) {
      depth.set(target, Math.max(depth.get(target) ?? 0, (depth.get(id) ?? 0) + 1));
      const left = (waiting.get(target) ?? 0) - 1;
      waiting.set(target, left);
      if (left === 0) ready.push(target); // nodes on a circle are never ready and keep the depth they have
    }
  }
  for (const id of ids) {
    const fed = targets.get(id);
    if (fed === undefined || sources.has(id)) continue;
    const nearest = fed.reduce((least, target) => Math.min(least, depth.get(target) ?? 0), Infinity);
    depth.set(id, Math.max(0, nearest - 1));
  }
  return depth;
}

function placed(columns: ReadonlyMap<number, readonly Node[]>, sources: Neighbours): Map<NodeId, Point> {
  const positions = new Map<NodeId, Point>();
  const middles = new Map<NodeId, number>();
  let x = 0;
  for (const depth of [...columns.keys()].sort((a, b) => a - b)) {
    const nodes = columns.get(depth) ?? [];
    const wish = new Map(nodes.map((node) => [node.id, middleOf(sources.get(node.id), middles)]));
    const ordered = [...nodes].sort((a, b) => (wish.get(a.id) ?? 0) - (wish.get(b.id) ?? 0));
    let y = 0;
    for (const node of ordered) {
      positions.set(node.id, { x, y });
      middles.set(node.id, y + node.size.height / 2);
      y += node.size.height + ROW_GAP;
    }
    x += nodes.reduce((widest, node) => Math.max(widest, node.size.width), 0) + COLUMN_GAP;
  }
  return positions;
}

function middleOf(sources: readonly NodeId[] | undefined, middles: ReadonlyMap<NodeId, number>): number {
  const known = (sources ?? []).flatMap((id) => middles.get(id) ?? []);
  return known.length === 0 ? 0 : known.reduce((sum, middle) => sum + middle, 0) / known.length;
}
