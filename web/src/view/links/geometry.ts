// Where links run. Ends are worked out from the document and the sizes of nodes, never read from the page.

import type { Document, End, Level, Link, Point, Port } from "../../model/document";
import { wayOf } from "../../model/edit/reroutes";
import { HEAD, NEW_WIDTH, PAD, slotOffset, type Box } from "../../model/edit/size";
import { slotsOf, type Side } from "../../model/edit/slots";
import { INPUTS, OUTPUTS, type NodeId } from "../../model/ids";
import type { NodeTypes } from "../../model/types";
import { flowId } from "../names";
import type { ViewState } from "../view-store";

export interface Scene extends Pick<ViewState, "dragged" | "resized" | "anchors"> {
  readonly document: Document;
  readonly level: Level;
  readonly types: NodeTypes;
  readonly row: number;
}

export type LinkStyle = "spline" | "straight" | "angled" | "hidden";

export const END_WIDTH = 144;
export const REROUTE = 16;

export const endHeight = (ports: readonly Port[], row: number): number => HEAD + PAD + (ports.length + 1) * row;

/** The middle of a slot's dot, in the graph. */
export function endPoint(scene: Scene, end: End, side: Side): Point | undefined {
  if (end.node === INPUTS || end.node === OUTPUTS) return portPoint(scene, end);
  const node = scene.level.nodes.get(end.node);
  if (node === undefined) return undefined;
  const id = flowId.node(end.node);
  const at = scene.dragged.get(id) ?? node.position;
  const width = scene.resized.get(id)?.width ?? drawnWidth(node.type, node.collapsed, node.size.width);
  const x = side === "output" ? at.x + width : at.x;
  if (node.collapsed || node.type === "Reroute") return { x, y: at.y + HEAD / 2 };
  const measured = side === "input" ? scene.anchors.get(end.node)?.[end.slot] : undefined;
  return { x, y: at.y + (measured ?? slotOffset(slotsOf(scene.document, node, scene.types), side, end.slot, scene.row)) };
}

/** As drawnSize of the model has it. */
function drawnWidth(type: string, collapsed: boolean, own: number): number {
  const width = Math.max(own, 64);
  if (type === "Reroute") return Math.max(48, Math.min(width, 96));
  return collapsed ? Math.min(width, NEW_WIDTH) : width;
}

function portPoint({ level, dragged, row }: Scene, end: End): Point | undefined {
  const definition = level.definition;
  if (definition === undefined) return undefined;
  const isInput = end.node === INPUTS;
  const ports = isInput ? definition.inputs : definition.outputs;
  const at = dragged.get(flowId.node(end.node)) ?? (isInput ? definition.inputPosition : definition.outputPosition);
  const place = ports.findIndex((port) => port.name === end.slot);
  return { x: isInput ? at.x + END_WIDTH : at.x, y: at.y + HEAD + PAD / 2 + (place < 0 ? ports.length : place) * row + row / 2 };
}

/** The points that a link leads through, from its source to its target. */
export function pointsOf(scene: Scene, link: Link): readonly Point[] | undefined {
  const from = endPoint(scene, link.from, "output");
  const to = endPoint(scene, link.to, "input");
  if (from === undefined || to === undefined) return undefined;
  const way = wayOf(scene.level, link).map((reroute) => scene.dragged.get(flowId.reroute(reroute.id)) ?? reroute.position);
  return [from, ...way, to];
}

/** How far the handles of a curve reach: half the way, but never far, so that long links stay calm. */
const reachOf = (from: Point, to: Point): number => {
  const across = Math.abs(to.x - from.x);
  const back = to.x < from.x ? 40 : 0;
  return Math.min(160, Math.max(24, across / 2, Math.min(80, Math.abs(to.y - from.y) / 4))) + back;
};

export interface Curve {
  readonly from: Point;
  readonly to: Point;
  readonly out: Point;
  readonly into: Point;
}

export function curvesOf(points: readonly Point[], style: LinkStyle): Curve[] {
  return points.slice(1).flatMap((to, place) => {
    const from = points[place];
    if (from === undefined) return [];
    if (style === "straight") return [{ from, to, out: from, into: to }];
    const reach = reachOf(from, to);
    return [{ from, to, out: { x: from.x + reach, y: from.y }, into: { x: to.x - reach, y: to.y } }];
  });
}

const fine = (value: number): number => Math.round(value * 10) / 10;
const pair = (point: Point): string => `${fine(point.x)},${fine(point.y)}`;

/** The path of a link for SVG. */
export function pathOf(points: readonly Point[], style: LinkStyle): string {
  if (style === "angled") return angled(points);
  return curvesOf(points, style)
    .map(({ from, to, out, into }, place) => `${place === 0 ? `M${pair(from)}` : ""}C${pair(out)} ${pair(into)} ${pair(to)}`)
    .join("");
}

const STUB = 14;

/** The two ends of a link that is hidden otherwise, so that one sees that there is one. */
export function stubsOf(points: readonly Point[]): string {
  const [from, to] = [points[0], points.at(-1)];
  if (from === undefined || to === undefined) return "";
  return `M${pair(from)}h${STUB}M${pair({ x: to.x - STUB, y: to.y })}h${STUB}`;
}

function angled(points: readonly Point[]): string {
  const [first] = points;
  if (first === undefined) return "";
  const parts = points.slice(1).map((to, place) => {
    const from = points[place] ?? first;
    const middle = to.x >= from.x + 32 ? (from.x + to.x) / 2 : from.x + 16;
    if (to.x >= from.x + 32) return `H${fine(middle)}V${fine(to.y)}H${fine(to.x)}`;
    const half = (from.y + to.y) / 2;
    return `H${fine(middle)}V${fine(half)}H${fine(to.x - 16)}V${fine(to.y)}H${fine(to.x)}`;
  });
  return `M${pair(first)}${parts.join("")}`;
}

export const at = ({ from, out, into, to }: Curve, share: number): Point => {
  const rest = 1 - share;
  const mix = (key: "x" | "y"): number =>
    rest ** 3 * from[key] + 3 * rest ** 2 * share * out[key] + 3 * rest * share ** 2 * into[key] + share ** 3 * to[key];
  return { x: mix("x"), y: mix("y") };
};

const STEPS = 12;

/** A link as short straight pieces: for cutting, and for dropping nodes on it. */
export const pieces = (points: readonly Point[], style: LinkStyle): Point[] =>
  curvesOf(points, style).flatMap((curve) => Array.from({ length: STEPS + 1 }, (_, step) => at(curve, step / STEPS)));

export function middleOf(points: readonly Point[], style: LinkStyle): Point {
  const curves = curvesOf(points, style);
  const curve = curves[Math.floor(curves.length / 2)];
  return curve === undefined ? { x: 0, y: 0 } : at(curve, curves.length % 2 === 0 ? 0 : 0.5);
}

/** The box around a link, with room for its handles. */
export function boxAround(points: readonly Point[]): Box {
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  const [x, y] = [Math.min(...xs) - 200, Math.min(...ys) - 8];
  return { x, y, width: Math.max(...xs) + 200 - x, height: Math.max(...ys) + 8 - y };
}

export const overlaps = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/** Whether two strokes cross. */
export function cross(first: readonly Point[], second: readonly Point[]): boolean {
  for (let i = 1; i < first.length; i++) {
    for (let j = 1; j < second.length; j++) {
      const [a, b, c, d] = [first[i - 1], first[i], second[j - 1], second[j]];
      if (a !== undefined && b !== undefined && c !== undefined && d !== undefined && meet(a, b, c, d)) return true;
    }
  }
  return false;
}

const turn = (a: Point, b: Point, c: Point): number => Math.sign((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x));
const meet = (a: Point, b: Point, c: Point, d: Point): boolean =>
  turn(a, b, c) !== turn(a, b, d) && turn(c, d, a) !== turn(c, d, b);

/** How far a point is from a stroke. */
export const distanceTo = (stroke: readonly Point[], point: Point): number =>
  Math.min(...stroke.map((each) => Math.hypot(each.x - point.x, each.y - point.y)));

export const isEnd = (id: NodeId): boolean => id === INPUTS || id === OUTPUTS;
