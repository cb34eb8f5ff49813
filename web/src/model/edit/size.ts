// How large nodes are drawn, and where their slots sit. The view draws by the same numbers.

import type { Document, Node, Point, Size } from "../document";
import type { NodeTypes } from "../types";
import type { ShownSlot, Side, Slots } from "./slots";
import { slotsOf } from "./slots";

export const HEAD = 28;
export const ROW = 24;
export const PAD = 8;
export const MIN_WIDTH = 160;
export const NEW_WIDTH = 256;
export const SNAP = 8;
const TEXT_ROWS = 4;
const PICTURE = 200;

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Rows that inputs and outputs share. */
export const slotRows = (slots: Slots): number => Math.max(slots.inputs.length, slots.outputs.length);

const fieldHeight = (slot: ShownSlot, row: number): number => {
  if (slot.widget === "unknown" || slot.widget === undefined) return row;
  const { widget } = slot;
  if (widget.kind === "text" && widget.multiline) return row * TEXT_ROWS;
  // A controlled number has its after-run mode in a row of its own.
  return row;
};

/** The least height at which everything of a node can be seen. */
export function contentHeight(slots: Slots, row = ROW): number {
  const fields = slots.widgets.filter((slot) => !slot.advanced).reduce((sum, slot) => sum + fieldHeight(slot, row), 0);
  const folded = slots.widgets.some((slot) => slot.advanced) ? row : 0;
  return HEAD + PAD + slotRows(slots) * row + fields + folded + PAD;
}

/** The size that a new node gets. */
export function estimateSize(slots: Slots, isOutput: boolean): Size {
  const widest = Math.max(0, ...slots.inputs.map((slot) => slot.label.length)) + Math.max(0, ...slots.outputs.map((slot) => slot.label.length));
  const width = slots.widgets.length > 0 ? NEW_WIDTH : Math.max(MIN_WIDTH + 48, Math.min(NEW_WIDTH, 64 + widest * 7));
  const hasText = slots.widgets.some(({ widget }) => widget !== "unknown" && widget?.kind === "text" && widget.multiline);
  const height = contentHeight(slots) + (isOutput ? PICTURE : 0);
  return { width: hasText ? 320 : width, height: up(height) };
}

const up = (value: number): number => Math.ceil(value / SNAP) * SNAP;

/** The size at which a node is drawn: its own, but never too small for what it shows. */
export function drawnSize(document: Document, node: Node, types: NodeTypes, row = ROW): Size {
  if (node.collapsed && node.type !== "Reroute") return { width: Math.min(widthOf(node), NEW_WIDTH), height: HEAD };
  const { width, height } = neededSize(document, node, types, row);
  return { width, height: node.type === "Reroute" ? height : Math.max(node.size.height, height) };
}

const widthOf = (node: Node): number => Math.max(node.size.width, 64);

/** The size of a node that is as high as its content. */
export function neededSize(document: Document, node: Node, types: NodeTypes, row = ROW): Size {
  if (node.type === "Reroute") return { width: Math.max(48, Math.min(widthOf(node), 96)), height: HEAD };
  return { width: widthOf(node), height: contentHeight(slotsOf(document, node, types), row) };
}

export const boxOf = (document: Document, node: Node, types: NodeTypes): Box => ({
  ...node.position,
  ...drawnSize(document, node, types),
});

/** The smallest box around all of them; undefined for none. */
export function around(boxes: Iterable<Box>): Box | undefined {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const box of boxes) {
    left = Math.min(left, box.x);
    top = Math.min(top, box.y);
    right = Math.max(right, box.x + box.width);
    bottom = Math.max(bottom, box.y + box.height);
  }
  return left > right ? undefined : { x: left, y: top, width: right - left, height: bottom - top };
}

export const holds = (box: Box, point: Point): boolean =>
  point.x >= box.x && point.x <= box.x + box.width && point.y >= box.y && point.y <= box.y + box.height;

export const snapped = (point: Point, step = SNAP): Point => ({
  x: Math.round(point.x / step) * step,
  y: Math.round(point.y / step) * step,
});

/** How far below the node's top the middle of a slot is. Fields are guessed here; the view measures those it draws. */
export function slotOffset(slots: Slots, side: Side, name: string, row = ROW): number {
  const shared = side === "output" ? slots.outputs : slots.inputs;
  const place = shared.findIndex((slot) => slot.name === name);
  if (place >= 0) return HEAD + PAD / 2 + place * row + row / 2;
  let top = HEAD + PAD / 2 + slotRows(slots) * row;
  for (const slot of slots.widgets) {
    if (slot.name === name) return top + row / 2;
    if (!slot.advanced) top += fieldHeight(slot, row);
  }
  return HEAD / 2;
}
