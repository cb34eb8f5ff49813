// Links: which ends fit, and the changes that make, move and cut them.

import type { Change } from "../changes";
import type { Document, End, Level, Link } from "../document";
import type { LinkId, NodeId } from "../ids";
import type { NodeTypes } from "../types";
import { all } from "../changes";
import { INPUTS, OUTPUTS } from "../ids";
import { fits } from "../types";
import { freeIds } from "./free";
import { linkTo, reach } from "./graph";
import { pruneReroutes } from "./reroutes";
import { slotAt, slotsAt, type ShownSlot, type Side } from "./slots";

export const other = (side: Side): Side => (side === "input" ? "output" : "input");

/** What an input may be linked to. */
const takenBy = (slot: ShownSlot): string => slot.takes ?? slot.type;

/** A key under which an end can be looked up in a set. */
export const endKey = (side: Side, node: NodeId, slot: string): string => `${side}\n${node}\n${slot}`;

/** What a link carries: of an output whose type follows from other links it is not what it was when it was made. */
export function carried(document: Document, level: Level, link: Link, types: NodeTypes): string {
  const type = slotAt(document, level, link.from, "output", types)?.type;
  return type === undefined || type === "*" ? link.type : type;
}

/** The ends that a link starting at `end` may lead to, as keys: types fit, and no loop would close. */
export function validTargets(document: Document, level: Level, end: End, side: Side, types: NodeTypes): Set<string> {
  const found = new Set<string>();
  const start = slotAt(document, level, end, side, types);
  if (start === undefined) return found;
  // A link into anything that feeds this node (or out of anything it feeds) would close a loop.
  const barred = reach(level, [end.node], side === "output" ? "upstream" : "downstream");
  const wanted = other(side);
  for (const id of [...level.nodes.keys(), ...(level.definition === undefined ? [] : [INPUTS, OUTPUTS])]) {
    if (barred.has(id)) continue;
    for (const slot of slotsAt(document, level, id, wanted, types)) {
      const [given, taken] = side === "output" ? [start.type, takenBy(slot)] : [slot.type, takenBy(start)];
      if (fits(given, taken)) found.add(endKey(wanted, id, slot.name));
    }
  }
  return found;
}

/** The slot of `node` that a link dropped on its body gets: first free fitting ones, sockets before fields. */
export function fittingSlot(
  document: Document,
  level: Level,
  node: NodeId,
  side: Side,
  type: string,
  types: NodeTypes,
): ShownSlot | undefined {
  const fitting = slotsAt(document, level, node, side, types).filter((slot) =>
    side === "input" ? fits(type, takenBy(slot)) : fits(slot.type, type),
  );
  const exact = fitting.filter((slot) => takenBy(slot) === type);
  const free = (slot: ShownSlot): boolean => side === "output" || linkTo(level, { node, slot: slot.name }) === undefined;
  const sockets = (slots: readonly ShownSlot[]): ShownSlot[] => slots.filter((slot) => slot.widget === undefined);
  return (
    sockets(exact).find(free) ?? exact.find(free) ?? sockets(fitting).find(free) ?? fitting.find(free) ?? exact[0] ?? fitting[0]
  );
}

/** Link an output to an input; a link that was there before goes. Undefined if it is linked so already. */
export function connect(document: Document, level: Level, from: End, to: End, type: string): Change | undefined {
  const old = linkTo(level, to);
  if (old !== undefined && old.from.node === from.node && old.from.slot === from.slot) return undefined;
  const link: Link = { id: freeIds(document, level).link(), from, to, type };
  return all(...(old === undefined ? [] : disconnect(level, [old.id])), { kind: "add-link", level: level.id, link });
}

/** Changes that cut links, with the reroutes that only they used. */
export function disconnect(level: Level, ids: Iterable<LinkId>): Change[] {
  const gone = new Set([...ids].filter((id) => level.links.has(id)));
  return [
    ...[...gone].map((id): Change => ({ kind: "remove-link", level: level.id, id })),
    ...pruneReroutes(level, gone),
  ];
}

/** Move one end of a link elsewhere: its target to another input, or its source to another output. */
export function moveLink(level: Level, id: LinkId, side: Side, end: End, type: string): Change | undefined {
  const link = level.links.get(id);
  if (link === undefined) return undefined;
  if (side === "output") return { kind: "patch-link", level: level.id, id, patch: { from: end, type } };
  const old = linkTo(level, end);
  if (old?.id === id) return undefined;
  const move: Change = { kind: "patch-link", level: level.id, id, patch: { to: end } };
  return all(...(old === undefined ? [] : disconnect(level, [old.id])), move);
}

/** Put a node into a link: the source feeds its first fitting input, its first fitting output the target. */
export function insertOnLink(document: Document, level: Level, node: NodeId, id: LinkId, types: NodeTypes): Change | undefined {
  const link = level.links.get(id);
  if (link === undefined || link.from.node === node || link.to.node === node) return undefined;
  const given = slotAt(document, level, link.from, "output", types)?.type ?? link.type;
  const taken = slotAt(document, level, link.to, "input", types)?.type ?? link.type;
  const input = fittingSlot(document, level, node, "input", given, types);
  const output = fittingSlot(document, level, node, "output", taken, types);
  if (input === undefined || output === undefined || linkTo(level, { node, slot: input.name }) !== undefined) return undefined;
  const feeds = reach(level, [node], "downstream").has(link.from.node) || reach(level, [node], "upstream").has(link.to.node);
  if (feeds) return undefined;
  const ids = freeIds(document, level);
  const first: Link = { id: ids.link(), from: link.from, to: { node, slot: input.name }, type: given };
  const second: Link = { id: ids.link(), from: { node, slot: output.name }, to: link.to, type: output.type };
  return all(
    ...disconnect(level, [id]),
    { kind: "add-link", level: level.id, link: first },
    { kind: "add-link", level: level.id, link: second },
  );
}

/** Whether `insertOnLink` could do it; asked while a node is dragged over links. */
export const insertable = (document: Document, level: Level, node: NodeId, id: LinkId, types: NodeTypes): boolean =>
  insertOnLink(document, level, node, id, types) !== undefined;
