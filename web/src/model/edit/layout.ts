// Auto-layout: what the layout needs to know as plain data, and the change that its answer makes.

import type { Change } from "../changes";
import type { Document, Level, Point } from "../document";
import type { NodeId } from "../ids";
import type { NodeTypes } from "../types";
import { place, present } from "./nodes";
import { around, boxOf, SNAP } from "./size";

export interface LayoutTask {
  readonly nodes: readonly { readonly id: string; readonly width: number; readonly height: number }[];
  readonly edges: readonly (readonly [from: string, to: string])[];
}

/** The middle of each node, by id. */
export type Places = Readonly<Record<string, Point>>;

export function layoutTask(document: Document, level: Level, ids: Iterable<NodeId>, types: NodeTypes): LayoutTask {
  const nodes = present(level, ids).filter((node) => !node.pinned);
  const inside = new Set<string>(nodes.map((node) => node.id));
  return {
    nodes: nodes.map((node) => {
      const { width, height } = boxOf(document, node, types);
      return { id: node.id, width, height };
    }),
    edges: [...level.links.values()].flatMap((link) =>
      inside.has(link.from.node) && inside.has(link.to.node) ? [[link.from.node, link.to.node] as const] : [],
    ),
  };
}

/** Move the nodes to their places; their common top left corner stays where it was. */
export function arranged(document: Document, level: Level, places: Places, types: NodeTypes): Change | undefined {
  const nodes = present(level, Object.keys(places) as NodeId[]);
  const boxes = new Map(nodes.map((node) => [node.id, boxOf(document, node, types)]));
  const before = around(boxes.values());
  const wanted = nodes.map((node) => {
    const box = boxes.get(node.id) ?? { x: 0, y: 0, width: 0, height: 0 };
    const middle = places[node.id] ?? { x: 0, y: 0 };
    return { id: node.id, x: middle.x - box.width / 2, y: middle.y - box.height / 2, width: box.width, height: box.height };
  });
  const after = around(wanted);
  if (before === undefined || after === undefined) return undefined;
  const snap = (value: number): number => Math.round(value / SNAP) * SNAP;
  return place(level, {
    nodes: new Map(wanted.map(({ id, x, y }) => [id, { x: snap(before.x + x - after.x), y: snap(before.y + y - after.y) }])),
  });
}
