// Aligning and distributing nodes by the size at which they are drawn.

import type { Change } from "../changes";
import type { Document, Level, Node, Point } from "../document";
import type { NodeId } from "../ids";
import type { NodeTypes } from "../types";
import { place, present } from "./nodes";
import { around, boxOf, type Box } from "./size";

export type Alignment = "left" | "centre" | "right" | "top" | "middle" | "bottom";

interface Placed {
  readonly node: Node;
  readonly box: Box;
}

const placed = (document: Document, level: Level, ids: Iterable<NodeId>, types: NodeTypes): Placed[] =>
  present(level, ids).filter((node) => !node.pinned).map((node) => ({ node, box: boxOf(document, node, types) }));

export function align(document: Document, level: Level, ids: Iterable<NodeId>, how: Alignment, types: NodeTypes): Change | undefined {
  const nodes = placed(document, level, ids, types);
  const whole = around(nodes.map(({ box }) => box));
  if (whole === undefined || nodes.length < 2) return undefined;
  const to = ({ box }: Placed): Point => {
    switch (how) {
      case "left":
        return { x: whole.x, y: box.y };
      case "centre":
        return { x: whole.x + (whole.width - box.width) / 2, y: box.y };
      case "right":
        return { x: whole.x + whole.width - box.width, y: box.y };
      case "top":
        return { x: box.x, y: whole.y };
      case "middle":
        return { x: box.x, y: whole.y + (whole.height - box.height) / 2 };
      case "bottom":
        return { x: box.x, y: whole.y + whole.height - box.height };
    }
  };
  return place(level, { nodes: new Map(nodes.map((each) => [each.node.id, to(each)])) });
}

/** The same gap between all of them, the outer two staying where they are. */
export function distribute(document: Document, level: Level, ids: Iterable<NodeId>, axis: "x" | "y", types: NodeTypes): Change | undefined {
  const length = (box: Box): number => (axis === "x" ? box.width : box.height);
  const nodes = placed(document, level, ids, types).sort((a, b) => a.box[axis] - b.box[axis]);
  const [first, last] = [nodes[0], nodes.at(-1)];
  if (first === undefined || last === undefined || nodes.length < 3) return undefined;
  const room = last.box[axis] + length(last.box) - first.box[axis];
  const gap = (room - nodes.reduce((sum, { box }) => sum + length(box), 0)) / (nodes.length - 1);
  let at = first.box[axis];
  const moved = new Map<NodeId, Point>();
  for (const { node, box } of nodes) {
    moved.set(node.id, { ...node.position, [axis]: Math.round(at) });
    at += length(box) + gap;
  }
  return place(level, { nodes: moved });
}
