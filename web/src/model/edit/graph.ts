// Questions about a level as a graph. Indexes are kept per set of links, which never changes in place.

import type { End, Level, Link } from "../document";
import type { NodeId } from "../ids";

interface Around {
  readonly into: readonly Link[];
  readonly outOf: readonly Link[];
}

const NONE: Around = { into: [], outOf: [] };
const indexes = new WeakMap<Level["links"], ReadonlyMap<NodeId, Around>>();

function indexOf(level: Level): ReadonlyMap<NodeId, Around> {
  const known = indexes.get(level.links);
  if (known !== undefined) return known;
  const index = new Map<NodeId, { into: Link[]; outOf: Link[] }>();
  const at = (id: NodeId): { into: Link[]; outOf: Link[] } => {
    const found = index.get(id) ?? { into: [], outOf: [] };
    index.set(id, found);
    return found;
  };
  for (const link of level.links.values()) {
    at(link.from.node).outOf.push(link);
    at(link.to.node).into.push(link);
  }
  indexes.set(level.links, index);
  return index;
}

/** The links into and out of a node; the lists stay the same as long as the links do. */
export const linksAround = (level: Level, node: NodeId): Around => indexOf(level).get(node) ?? NONE;

export const linkTo = (level: Level, end: End): Link | undefined =>
  linksAround(level, end.node).into.find((link) => link.to.slot === end.slot);

export const linksFrom = (level: Level, end: End): readonly Link[] =>
  linksAround(level, end.node).outOf.filter((link) => link.from.slot === end.slot);

/** `start` and everything that feeds it, or everything it feeds. */
export function reach(level: Level, start: Iterable<NodeId>, way: "upstream" | "downstream"): Set<NodeId> {
  const found = new Set(start);
  const open = [...found];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const around = linksAround(level, id);
    const next = way === "upstream" ? around.into.map((link) => link.from.node) : around.outOf.map((link) => link.to.node);
    for (const other of next) {
      if (found.has(other)) continue;
      found.add(other);
      open.push(other);
    }
  }
  return found;
}

/** The nodes in an order in which they could run: sources first, ties from left to right. Loops come last. */
export function executionOrder(level: Level): NodeId[] {
  const waits = new Map<NodeId, number>();
  for (const id of level.nodes.keys()) {
    const before = linksAround(level, id).into.filter((link) => level.nodes.has(link.from.node));
    waits.set(id, before.length);
  }
  const byPlace = (a: NodeId, b: NodeId): number => placeOf(level, a) - placeOf(level, b);
  const order: NodeId[] = [];
  let ready = [...waits].filter(([, count]) => count === 0).map(([id]) => id);
  while (ready.length > 0) {
    const next: NodeId[] = [];
    for (const id of ready.sort(byPlace)) {
      order.push(id);
      for (const link of linksAround(level, id).outOf) {
        const left = (waits.get(link.to.node) ?? 0) - 1;
        waits.set(link.to.node, left);
        if (left === 0) next.push(link.to.node);
      }
    }
    ready = next;
  }
  const seen = new Set(order);
  return [...order, ...[...level.nodes.keys()].filter((id) => !seen.has(id))];
}

const placeOf = (level: Level, id: NodeId): number => {
  const position = level.nodes.get(id)?.position;
  return position === undefined ? 0 : position.x * 4 + position.y;
};
