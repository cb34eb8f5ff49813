// Pieces of a graph as data: what is copied, duplicated, pasted, or published as a blueprint.

import type { Change } from "../changes";
import type { Document, Frame, Level, Link, Node, Point, Reroute } from "../document";
import type { FrameId, LevelId, LinkId, NodeId, RerouteId } from "../ids";
import { all } from "../changes";
import { levelId } from "../ids";
import { freeIds } from "./free";
import { present } from "./nodes";
import { wayOf } from "./reroutes";
import { around } from "./size";

export interface Fragment {
  readonly nodes: readonly Node[];
  /** Links among the nodes, and links into them from outside. */
  readonly links: readonly Link[];
  readonly frames: readonly Frame[];
  readonly reroutes: readonly Reroute[];
  /** The levels of the subgraphs that the nodes are instances of, nested ones too. */
  readonly levels: readonly Level[];
}

export interface Pasted {
  readonly change: Change;
  readonly nodes: readonly NodeId[];
  readonly frames: readonly FrameId[];
}

/** The nodes and frames as a piece that stands for itself. */
export function copyOf(document: Document, level: Level, ids: Iterable<NodeId>, frames: Iterable<FrameId> = []): Fragment {
  const nodes = present(level, ids);
  const inside = new Set(nodes.map((node) => node.id));
  const links = [...level.links.values()].filter((link) => inside.has(link.to.node));
  const reroutes = new Map(links.filter((link) => inside.has(link.from.node)).flatMap((link) => wayOf(level, link)).map((each) => [each.id, each]));
  return {
    nodes,
    links,
    frames: [...frames].flatMap((id) => {
      const frame = level.frames.get(id);
      return frame === undefined ? [] : [frame];
    }),
    reroutes: [...reroutes.values()],
    levels: levelsOf(document, nodes),
  };
}

/** The levels that nodes are instances of, and those that these need. */
export function levelsOf(document: Document, nodes: Iterable<Node>): Level[] {
  const found = new Map<LevelId, Level>();
  const visit = (node: Node): void => {
    const id = levelId(node.type);
    const level = document.levels.get(id);
    if (level?.definition === undefined || found.has(id)) return;
    found.set(id, level);
    for (const inner of level.nodes.values()) visit(inner);
  };
  for (const node of nodes) visit(node);
  return [...found.values()];
}

export interface PasteOptions {
  /** Where the top left corner comes to lie. */
  readonly at: Point;
  /** Keep the links that came from outside, where their sources still are. */
  readonly incoming?: boolean;
}

/** Put a piece into a level under fresh ids. Levels that the document has already are shared, not doubled. */
export function paste(document: Document, level: Level, fragment: Fragment, options: PasteOptions): Pasted {
  const ids = freeIds(document, level);
  const by = offset(fragment, options.at);
  const nodeIds = new Map(fragment.nodes.map((node) => [node.id, ids.node()]));
  const rerouteIds = new Map(fragment.reroutes.map((each) => [each.id, ids.reroute()]));
  const nodes = fragment.nodes.map((node): Node => ({ ...node, id: nodeIds.get(node.id) ?? node.id, position: moved(node.position, by) }));
  const links = fragment.links.flatMap((link) => pastedLink(level, link, { nodeIds, rerouteIds, id: ids.link, incoming: options.incoming === true }));
  const frames = fragment.frames.map((frame): Frame => ({ ...frame, id: ids.frame(), position: moved(frame.position, by) }));
  const reroutes = fragment.reroutes.map((each): Reroute => {
    const parent = each.parent === undefined ? undefined : rerouteIds.get(each.parent);
    const at = { id: rerouteIds.get(each.id) ?? each.id, position: moved(each.position, by) };
    return parent === undefined ? at : { ...at, parent };
  });
  const changes: Change[] = [
    ...fragment.levels.filter((each) => !document.levels.has(each.id)).map((each): Change => ({ kind: "add-level", level: each })),
    ...nodes.map((node): Change => ({ kind: "add-node", level: level.id, node })),
    ...reroutes.map((reroute): Change => ({ kind: "add-reroute", level: level.id, reroute })),
    ...links.map((link): Change => ({ kind: "add-link", level: level.id, link })),
    ...frames.map((frame): Change => ({ kind: "add-frame", level: level.id, frame })),
  ];
  return { change: all(...changes), nodes: nodes.map((node) => node.id), frames: frames.map((frame) => frame.id) };
}

interface Renaming {
  readonly nodeIds: ReadonlyMap<NodeId, NodeId>;
  readonly rerouteIds: ReadonlyMap<RerouteId, RerouteId>;
  readonly id: () => LinkId;
  readonly incoming: boolean;
}

function pastedLink(level: Level, link: Link, names: Renaming): Link[] {
  const to = names.nodeIds.get(link.to.node);
  const inner = names.nodeIds.get(link.from.node);
  const outer = names.incoming && level.nodes.has(link.from.node) ? link.from.node : undefined;
  const from = inner ?? outer;
  if (to === undefined || from === undefined) return [];
  const { via, ...rest } = link;
  const way = via === undefined || inner === undefined ? undefined : names.rerouteIds.get(via);
  const made: Link = { ...rest, id: names.id(), from: { ...link.from, node: from }, to: { ...link.to, node: to } };
  return [way === undefined ? made : { ...made, via: way }];
}

function offset(fragment: Fragment, at: Point): Point {
  const corners = [...fragment.nodes, ...fragment.frames].map((each) => ({ ...each.position, width: 0, height: 0 }));
  const box = around(corners);
  return box === undefined ? { x: 0, y: 0 } : { x: at.x - box.x, y: at.y - box.y };
}

const moved = (point: Point, by: Point): Point => ({ x: point.x + by.x, y: point.y + by.y });

/** The nodes once more, a little lower and to the right. */
export function duplicate(document: Document, level: Level, ids: Iterable<NodeId>, frames: Iterable<FrameId> = [], by: Point = { x: 32, y: 32 }, incoming = true): Pasted | undefined {
  const fragment = copyOf(document, level, ids, frames);
  const corners = [...fragment.nodes, ...fragment.frames].map((each) => ({ ...each.position, width: 0, height: 0 }));
  const box = around(corners);
  if (box === undefined) return undefined;
  return paste(document, level, fragment, { at: moved(box, by), incoming });
}
