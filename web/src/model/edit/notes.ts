// Notes: text on the canvas. They are nodes that never run.

import type { Change } from "../changes";
import type { Document, Level, Node, Point } from "../document";
import type { NodeId } from "../ids";
import { freeIds } from "./free";

export function addNote(document: Document, level: Level, position: Point, text = ""): { change: Change; node: NodeId } {
  const id = freeIds(document, level).node();
  const node: Node = {
    id,
    type: "MarkdownNote",
    position: { x: Math.round(position.x), y: Math.round(position.y) },
    size: { width: 256, height: 144 },
    mode: "normal",
    collapsed: false,
    pinned: false,
    values: { text },
    control: {},
    inputs: [],
    outputs: [],
    properties: {},
    rest: {},
  };
  return { node: id, change: { kind: "add-node", level: level.id, node } };
}
