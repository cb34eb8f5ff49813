// Nodes: adding, removing, naming, switching and moving them.

import type { Change, NodePatch } from "../changes";
import type { AfterRun, Document, End, Level, Link, Mode, Node, Point, Size } from "../document";
import type { FrameId, LinkId, NodeId, RerouteId } from "../ids";
import type { Json } from "../json";
import type { NodeType, NodeTypes } from "../types";
import { inputsOf } from "../inputs";
import { all } from "../changes";
import { fits } from "../types";
import { freeIds } from "./free";
import { linksAround } from "./graph";
import { disconnect } from "./links";
import { pruneReroutes, removeReroutes } from "./reroutes";
import { estimateSize, MIN_WIDTH, neededSize } from "./size";
import { slotsOf } from "./slots";

export const patchNode = (level: Level, id: NodeId, patch: NodePatch): Change => ({ kind: "patch-node", level: level.id, id, patch });

/** The same change for several nodes, as one. */
export const patchNodes = (level: Level, ids: Iterable<NodeId>, patch: (node: Node) => NodePatch | undefined): Change | undefined => {
  const changes = present(level, ids).flatMap((node) => {
    const wanted = patch(node);
    return wanted === undefined ? [] : [patchNode(level, node.id, wanted)];
  });
  return changes.length === 0 ? undefined : all(...changes);
};

export const present = (level: Level, ids: Iterable<NodeId>): Node[] =>
  [...ids].flatMap((id) => {
    const node = level.nodes.get(id);
    return node === undefined ? [] : [node];
  });

/** A node of a type as it is when it is new: default values, a size that fits. */
export function newNode(id: NodeId, type: NodeType, position: Point): Node {
  const values: Record<string, Json> = {};
  const control: Record<string, AfterRun> = {};
  for (const { name, widget } of inputsOf(type, {})) {
    if (widget === undefined) continue;
    values[name] = widget.default;
    if (widget.kind === "int" && widget.controlled) control[name] = "randomize";
  }
  const blank: Node = {
    id,
    type: type.name,
    position,
    size: { width: 0, height: 0 },
    mode: "normal",
    collapsed: false,
    pinned: false,
    values,
    control,
    inputs: [],
    outputs: [],
    properties: { "Node name for S&R": type.name },
    rest: {},
  };
  const slots = slotsOf(NO_LEVELS, blank, new Map([[type.name, type]]));
  return { ...blank, size: estimateSize(slots, type.isOutput) };
}

const NO_LEVELS: Document = { id: "", levels: new Map(), rest: {} };

/** Add a node of a type; the answer holds the node too, so that it can be selected. */
export function addNode(document: Document, level: Level, type: NodeType, position: Point): { change: Change; node: Node } {
  const node = newNode(freeIds(document, level).node(), type, position);
  return { node, change: { kind: "add-node", level: level.id, node } };
}

export interface Removal {
  readonly nodes?: Iterable<NodeId>;
  readonly links?: Iterable<LinkId>;
  readonly frames?: Iterable<FrameId>;
  readonly reroutes?: Iterable<RerouteId>;
}

/** Remove what is named. With `keep`, what fed a removed node feeds what it fed, where the types fit. Pinned nodes stay. */
export function remove(document: Document, level: Level, what: Removal, keep = false): Change | undefined {
  const gone = new Set(present(level, what.nodes ?? []).filter((node) => !node.pinned).map((node) => node.id));
  const cut = new Set([...(what.links ?? [])].filter((id) => level.links.has(id)));
  for (const id of gone) for (const link of [...linksAround(level, id).into, ...linksAround(level, id).outOf]) cut.add(link.id);
  const reroutes = new Set([...(what.reroutes ?? [])].filter((id) => level.reroutes.has(id)));
  const pruned = pruneReroutes(level, cut).filter((change) => !("id" in change && reroutes.has(change.id as RerouteId)));
  const changes: Change[] = [
    ...removeReroutes(level, reroutes),
    ...disconnectOnly(level, cut),
    ...pruned,
    ...[...gone].map((id): Change => ({ kind: "remove-node", level: level.id, id })),
    ...[...(what.frames ?? [])].filter((id) => level.frames.has(id)).map((id): Change => ({ kind: "remove-frame", level: level.id, id })),
    ...(keep ? bridges(document, level, gone) : []),
  ];
  return changes.length === 0 ? undefined : all(...changes);
}

const disconnectOnly = (level: Level, ids: ReadonlySet<LinkId>): Change[] =>
  disconnect({ ...level, reroutes: new Map() }, ids);

/** Links over the gap that removed nodes leave. */
function bridges(document: Document, level: Level, gone: ReadonlySet<NodeId>): Change[] {
  const ids = freeIds(document, level);
  return [...level.links.values()].flatMap((link): Change[] => {
    if (!gone.has(link.from.node) || gone.has(link.to.node)) return [];
    const from = sourceBefore(level, link, gone);
    if (from === undefined) return [];
    return [{ kind: "add-link", level: level.id, link: { id: ids.link(), from: from.from, to: link.to, type: from.type } }];
  });
}

/** What feeds a node that goes, and fits what it fed: as a bypassed node would pass it on. */
function sourceBefore(level: Level, link: Link, gone: ReadonlySet<NodeId>): { from: End; type: string } | undefined {
  const seen = new Set<NodeId>();
  let now = link;
  while (gone.has(now.from.node) && !seen.has(now.from.node)) {
    seen.add(now.from.node);
    const into = linksAround(level, now.from.node).into;
    const next = into.find((each) => each.type === link.type) ?? into.find((each) => fits(each.type, link.type));
    if (next === undefined) return undefined;
    now = next;
  }
  return gone.has(now.from.node) ? undefined : { from: now.from, type: now.type };
}

/** Give a node another title; an empty one gives it its type's again. */
export const rename = (level: Level, id: NodeId, title: string): Change =>
  patchNode(level, id, { title: title.trim() === "" ? undefined : title.trim() });

export const colour = (level: Level, ids: Iterable<NodeId>, color: string | undefined): Change | undefined =>
  patchNodes(level, ids, () => ({ color }));

export const setMode = (level: Level, ids: Iterable<NodeId>, mode: Mode): Change | undefined =>
  patchNodes(level, ids, (node) => (node.mode === mode ? undefined : { mode }));

/** Mute or bypass them all; if all of them are, back to normal. */
export function toggleMode(level: Level, ids: Iterable<NodeId>, mode: Exclude<Mode, "normal">): Change | undefined {
  const nodes = present(level, ids);
  const back = nodes.every((node) => node.mode === mode);
  return setMode(level, nodes.map((node) => node.id), back ? "normal" : mode);
}

/** Set a flag for all of them, or take it back if all have it. */
export function toggleFlag(level: Level, ids: Iterable<NodeId>, flag: "collapsed" | "pinned"): Change | undefined {
  const nodes = present(level, ids);
  const value = !nodes.every((node) => node[flag]);
  return patchNodes(level, nodes.map((node) => node.id), (node) => (node[flag] === value ? undefined : { [flag]: value }));
}

export const setValue = (level: Level, id: NodeId, name: string, value: Json): Change | undefined =>
  patchNodes(level, [id], (node) => ({ values: { ...node.values, [name]: value } }));

export interface Moved {
  readonly nodes?: ReadonlyMap<NodeId, Point>;
  readonly frames?: ReadonlyMap<FrameId, Point>;
  readonly reroutes?: ReadonlyMap<RerouteId, Point>;
}

/** Put things where they were dragged to. */
export function place(level: Level, moved: Moved): Change | undefined {
  const differs = (was: Point | undefined, is: Point): boolean => was !== undefined && (was.x !== is.x || was.y !== is.y);
  const changes: Change[] = [
    ...[...(moved.nodes ?? [])]
      .filter(([id, to]) => differs(level.nodes.get(id)?.position, to))
      .map(([id, position]) => patchNode(level, id, { position })),
    ...[...(moved.frames ?? [])]
      .filter(([id, to]) => differs(level.frames.get(id)?.position, to))
      .map(([id, position]): Change => ({ kind: "patch-frame", level: level.id, id, patch: { position } })),
    ...[...(moved.reroutes ?? [])]
      .filter(([id, to]) => differs(level.reroutes.get(id)?.position, to))
      .map(([id, to]): Change => ({ kind: "move-reroute", level: level.id, id, to })),
  ];
  return changes.length === 0 ? undefined : all(...changes);
}

/** The gesture name under which the steps of moving by keys merge. */
export const nudgeGesture = (ids: Iterable<NodeId>): string => `nudge ${[...ids].sort().join(" ")}`;

export const moveBy = (level: Level, ids: Iterable<NodeId>, by: Point): Change | undefined =>
  patchNodes(level, ids, ({ pinned, position }) => (pinned ? undefined : { position: { x: position.x + by.x, y: position.y + by.y } }));

export const resizeGesture = (id: NodeId): string => `resize ${id}`;

export const resize = (level: Level, id: NodeId, size: Size): Change =>
  patchNode(level, id, { size: { width: Math.max(MIN_WIDTH, Math.round(size.width)), height: Math.max(28, Math.round(size.height)) } });

/** Give a node the size that its content needs. */
export function fitNode(document: Document, level: Level, id: NodeId, types: NodeTypes): Change | undefined {
  const node = level.nodes.get(id);
  if (node === undefined) return undefined;
  return patchNode(level, id, { size: neededSize(document, node, types) });
}
