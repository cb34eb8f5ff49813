// What React Flow is given: only what can be seen, since it draws (and measures) every node that it does not know yet.
// Objects stay the same as long as nothing that React Flow needs changed, so that it skips them.

import type { Node as FlowNode } from "@xyflow/react";
import type { Document, Level, Node, Point, Size } from "../model/document";
import { drawnSize, type Box } from "../model/edit/size";
import { slotsOf, type Slots } from "../model/edit/slots";
import { INPUTS, OUTPUTS } from "../model/ids";
import type { NodeTypes } from "../model/types";
import type { Selection } from "../state/documents";
import { END_WIDTH, REROUTE, endHeight, overlaps } from "./links/geometry";
import { flowId } from "./names";

export interface Shape {
  readonly id: string;
  readonly type: "node" | "frame" | "reroute" | "end";
  readonly at: Point;
  readonly size: Size;
  readonly selected: boolean;
  readonly draggable: boolean;
  readonly z: number;
}

export interface Stage {
  readonly document: Document;
  readonly level: Level;
  readonly types: NodeTypes;
  readonly selection: Selection;
  readonly dragged: ReadonlyMap<string, Point>;
  readonly resized: ReadonlyMap<string, Size>;
  /** How high nodes are drawn that show more than their size has room for: pictures, texts, errors. */
  readonly heights?: ReadonlyMap<string, number>;
  readonly row: number;
}

const Z = { frame: -1000, node: 0, end: 0, reroute: 1 } as const;
/** Of two nodes, the one that was selected is above. */
const LIFT = 10;

/** Everything on the level as shapes, frames first, larger ones below smaller ones. */
export function* shapesOf(stage: Stage): Generator<Shape> {
  const { level, selection, dragged, resized } = stage;
  const shape = (type: Shape["type"], id: string, at: Point, size: Size, selected: boolean, draggable = true): Shape => ({
    id,
    type,
    at: dragged.get(id) ?? at,
    size: resized.get(id) ?? size,
    selected,
    draggable,
    z: Z[type] + (selected && type !== "frame" ? LIFT : 0),
  });
  const frames = [...level.frames.values()].sort((a, b) => b.size.width * b.size.height - a.size.width * a.size.height);
  for (const frame of frames) yield shape("frame", flowId.frame(frame.id), frame.position, frame.size, selection.frames.has(frame.id));
  for (const node of level.nodes.values()) {
    yield shape("node", flowId.node(node.id), node.position, sizeOf(stage, node), selection.nodes.has(node.id), !node.pinned);
  }
  for (const reroute of level.reroutes.values()) {
    const corner = { x: reroute.position.x - REROUTE / 2, y: reroute.position.y - REROUTE / 2 };
    const moved = dragged.get(flowId.reroute(reroute.id));
    const at = moved === undefined ? corner : { x: moved.x - REROUTE / 2, y: moved.y - REROUTE / 2 };
    yield { ...shape("reroute", flowId.reroute(reroute.id), corner, { width: REROUTE, height: REROUTE }, selection.reroutes.has(reroute.id)), at };
  }
  if (level.definition !== undefined) {
    const { inputs, outputs, inputPosition, outputPosition } = level.definition;
    yield shape("end", flowId.node(INPUTS), inputPosition, { width: END_WIDTH, height: endHeight(inputs, stage.row) }, false);
    yield shape("end", flowId.node(OUTPUTS), outputPosition, { width: END_WIDTH, height: endHeight(outputs, stage.row) }, false);
  }
}

interface Sized {
  readonly slots: Slots;
  readonly row: number;
  readonly size: Size;
}
const sizes = new WeakMap<Node, Sized>();

function sizeOf({ document, types, row }: Stage, node: Node): Size {
  const slots = slotsOf(document, node, types);
  const known = sizes.get(node);
  if (known?.slots === slots && known.row === row) return known.size;
  const size = drawnSize(document, node, types, row);
  sizes.set(node, { slots, row, size });
  return size;
}

const same = (a: FlowNode, b: Shape): boolean =>
  a.position.x === b.at.x &&
  a.position.y === b.at.y &&
  a.width === b.size.width &&
  a.height === b.size.height &&
  a.selected === b.selected &&
  a.draggable === b.draggable;

/** Nodes carry no data: what they show they read from the document themselves. */
const NO_DATA = {};
const FOCUSABLE = { tabIndex: -1 };
const UNTOUCHED = { pointerEvents: "none" } as const;

/** Nodes for React Flow, in the order drawn; the maker remembers them. */
export function createFlowNodes(): (stage: Stage, region: Box, kept: ReadonlySet<string>, label: (id: string) => string | undefined) => FlowNode[] {
  let known = new Map<string, FlowNode>();
  let list: FlowNode[] = [];
  return (stage, region, kept, label) => {
    const next = new Map<string, FlowNode>();
    for (const shape of shapesOf(stage)) {
      if (!kept.has(shape.id) && !overlaps(region, drawnBox(stage, shape))) continue;
      const before = known.get(shape.id);
      const name = label(shape.id);
      next.set(shape.id, before !== undefined && same(before, shape) && before.ariaLabel === name ? before : toFlow(shape, name));
    }
    known = next;
    const now = [...next.values()];
    const isSame = now.length === list.length && now.every((node, place) => node === list[place]);
    list = isSame ? list : now;
    return list;
  };
}

const drawnBox = ({ heights }: Stage, { id, at, size }: Shape): Box => ({ ...at, width: size.width, height: Math.max(size.height, heights?.get(id) ?? 0) });

function toFlow(shape: Shape, name: string | undefined): FlowNode {
  return {
    id: shape.id,
    type: shape.type,
    position: shape.at,
    width: shape.size.width,
    height: shape.size.height,
    // Said to be measured already: what is not in view has its size from the file, and none is measured twice.
    measured: shape.size,
    selected: shape.selected,
    draggable: shape.draggable,
    zIndex: shape.z,
    data: NO_DATA,
    ...(shape.type === "frame" ? { style: UNTOUCHED } : {}),
    ...(name === undefined ? {} : { ariaLabel: name }),
    ariaRole: "group",
    domAttributes: FOCUSABLE,
  };
}

/** The part of the graph that is in view, with room to spare, in steps: it changes only now and then while panning. */
export function regionOf(transform: readonly [number, number, number], width: number, height: number): Box {
  const [x, y, zoom] = transform;
  const step = 192 * 2 ** Math.max(0, Math.ceil(-Math.log2(zoom)));
  const low = (value: number): number => Math.floor(value / step) * step;
  const [left, top] = [low(-x / zoom - step / 3), low(-y / zoom - step / 3)];
  const [right, bottom] = [low((width - x) / zoom + step / 3) + step, low((height - y) / zoom + step / 3) + step];
  return { x: left, y: top, width: right - left, height: bottom - top };
}

export const sameBox = (a: Box, b: Box): boolean => a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
