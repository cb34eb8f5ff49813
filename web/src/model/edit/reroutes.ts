// Reroutes: points on the way of links. A link names the one nearest to its target; each names the one before it.

import type { Change } from "../changes";
import type { Document, Level, Link, Point, Reroute } from "../document";
import type { LinkId, RerouteId } from "../ids";
import { all } from "../changes";
import { freeIds } from "./free";
import { omit } from "./omit";

/** The reroutes of a link, from its source to its target. */
export function wayOf(level: Level, link: Link): Reroute[] {
  const way: Reroute[] = [];
  const seen = new Set<RerouteId>();
  let id = link.via;
  while (id !== undefined && !seen.has(id)) {
    seen.add(id);
    const reroute = level.reroutes.get(id);
    if (reroute === undefined) break;
    way.unshift(reroute);
    id = reroute.parent;
  }
  return way;
}

/** Put a point on a link, behind the point at `place` of its way (0: right at the source). */
export function addReroute(document: Document, level: Level, id: LinkId, place: number, position: Point): Change | undefined {
  const link = level.links.get(id);
  if (link === undefined) return undefined;
  const way = wayOf(level, link);
  const before = way[place - 1];
  const after = way[place];
  const reroute: Reroute = {
    id: freeIds(document, level).reroute(),
    position,
    ...(before === undefined ? {} : { parent: before.id }),
  };
  const add: Change = { kind: "add-reroute", level: level.id, reroute };
  if (after === undefined) {
    return all(add, { kind: "patch-link", level: level.id, id, patch: { via: reroute.id } });
  }
  return all(add, ...reparent(level, after, reroute.id));
}

/** There is no change of a reroute's parent: it is taken out and put back with another. */
const reparent = (level: Level, reroute: Reroute, parent: RerouteId | undefined): Change[] => {
  const rest = omit(reroute, "parent");
  return [
    { kind: "remove-reroute", level: level.id, id: reroute.id },
    { kind: "add-reroute", level: level.id, reroute: parent === undefined ? rest : { ...rest, parent } },
  ];
};

/** Take points out; the links that went through them stay. */
export function removeReroutes(level: Level, ids: ReadonlySet<RerouteId>): Change[] {
  const next = (id: RerouteId | undefined): RerouteId | undefined => {
    const seen = new Set<RerouteId>();
    while (id !== undefined && ids.has(id) && !seen.has(id)) {
      seen.add(id);
      id = level.reroutes.get(id)?.parent;
    }
    return id !== undefined && ids.has(id) ? undefined : id;
  };
  const links = [...level.links.values()]
    .filter((link) => link.via !== undefined && ids.has(link.via))
    .map((link): Change => ({ kind: "patch-link", level: level.id, id: link.id, patch: { via: next(link.via) } }));
  const children = [...level.reroutes.values()]
    .filter((each) => !ids.has(each.id) && each.parent !== undefined && ids.has(each.parent))
    .flatMap((each) => reparent(level, each, next(each.parent)));
  const gone = [...ids].filter((id) => level.reroutes.has(id)).map((id): Change => ({ kind: "remove-reroute", level: level.id, id }));
  return [...links, ...children, ...gone];
}

/** Changes that take out the reroutes which no link would use any more, were `lost` gone. */
export function pruneReroutes(level: Level, lost: ReadonlySet<LinkId>): Change[] {
  if (level.reroutes.size === 0) return [];
  const used = new Set<RerouteId>();
  const dropped = new Set<RerouteId>();
  for (const link of level.links.values()) {
    for (const reroute of wayOf(level, link)) (lost.has(link.id) ? dropped : used).add(reroute.id);
  }
  return [...dropped].filter((id) => !used.has(id)).map((id) => ({ kind: "remove-reroute", level: level.id, id }));
}
