// Making a subgraph of nodes, and taking one apart again.

import type { Change } from "../changes";
import type { Definition, Document, End, Level, Link, Node, Point, Port, Reroute, Slot } from "../document";
import type { LevelId, LinkId, NodeId } from "../ids";
import type { Json } from "../json";
import type { NodeTypes } from "../types";
import { all } from "../changes";
import { INPUTS, OUTPUTS, levelId } from "../ids";
import { freeIds, freeName } from "./free";
import { linksAround, linksFrom, linkTo } from "./graph";
import { patchNode, present } from "./nodes";
import { omit } from "./omit";
import { pruneReroutes, wayOf } from "./reroutes";
import { around, boxOf, estimateSize, type Box } from "./size";
import { slotAt, slotsOf } from "./slots";

const ENDS_GAP = 240;

export interface Made {
  readonly change: Change;
  readonly node: NodeId;
}

/** Put the nodes into a new level `id` named `name`; one instance of it takes their place. */
export function makeSubgraph(document: Document, level: Level, ids: Iterable<NodeId>, name: string, id: LevelId, types: NodeTypes): Made | undefined {
  const nodes = present(level, ids);
  const box = around(nodes.map((node) => boxOf(document, node, types)));
  if (box === undefined) return undefined;
  const inside = new Set(nodes.map((node) => node.id));
  const sorted = sortLinks(level, inside);
  const inputs = portsInto(document, level, sorted.into, types);
  const outputs = portsOut(document, level, sorted.out, types);
  const reroutes = new Map(sorted.inner.flatMap((link) => wayOf(level, link)).map((each) => [each.id, each]));
  const inner: Level = {
    id,
    nodes: new Map(nodes.map((node) => [node.id, node])),
    links: innerLinks(sorted, inputs, outputs),
    frames: new Map(),
    reroutes,
    definition: definitionOf(name, box, inputs, outputs),
    rest: {},
  };
  const free = freeIds(document, level);
  const node = instanceOf(inner, free.node(), { x: box.x, y: box.y }, document, types);
  const outer: Link[] = [
    ...inputs.map(({ port, links }): Link => ({ id: free.link(), from: first(links).from, to: { node: node.id, slot: port.name }, type: port.type })),
    ...outputs.flatMap(({ port, links }) =>
      links.map((link): Link => ({ id: free.link(), from: { node: node.id, slot: port.name }, to: link.to, type: port.type })),
    ),
  ];
  const gone = new Set([...sorted.inner, ...sorted.into, ...sorted.out].map((link) => link.id));
  const change = all(
    { kind: "add-level", level: inner },
    ...pruneReroutes(level, gone),
    ...nodes.map((each): Change => ({ kind: "remove-node", level: level.id, id: each.id })),
    { kind: "add-node", level: level.id, node },
    ...outer.map((link): Change => ({ kind: "add-link", level: level.id, link })),
  );
  return { change, node: node.id };
}

const first = <T>(items: readonly T[]): T => {
  const [item] = items;
  if (item === undefined) throw new Error("a port is made for at least one link");
  return item;
};

interface Sorted {
  readonly inner: readonly Link[];
  readonly into: readonly Link[];
  readonly out: readonly Link[];
}

function sortLinks(level: Level, inside: ReadonlySet<NodeId>): Sorted {
  const links = [...level.links.values()];
  const [from, to] = [(link: Link): boolean => inside.has(link.from.node), (link: Link): boolean => inside.has(link.to.node)];
  return {
    inner: links.filter((link) => from(link) && to(link)),
    into: links.filter((link) => !from(link) && to(link)),
    out: links.filter((link) => from(link) && !to(link)),
  };
}

interface Crossing {
  readonly port: Port;
  readonly links: readonly Link[];
}

/** One input for each source outside: what it fed inside shares it. */
function portsInto(document: Document, level: Level, links: readonly Link[], types: NodeTypes): Crossing[] {
  const wanted = (link: Link): string => slotAt(document, level, link.to, "input", types)?.label ?? link.to.slot;
  const typed = (link: Link): string => slotAt(document, level, link.from, "output", types)?.type ?? link.type;
  return crossings(level, links, (link) => link.from, (link) => link.to.node, wanted, typed);
}

function portsOut(document: Document, level: Level, links: readonly Link[], types: NodeTypes): Crossing[] {
  const wanted = (link: Link): string => slotAt(document, level, link.from, "output", types)?.label ?? link.from.slot;
  const typed = (link: Link): string => slotAt(document, level, link.from, "output", types)?.type ?? link.type;
  return crossings(level, links, (link) => link.from, (link) => link.from.node, wanted, typed);
}

function crossings(
  level: Level,
  links: readonly Link[],
  end: (link: Link) => End,
  inner: (link: Link) => NodeId,
  name: (link: Link) => string,
  type: (link: Link) => string,
): Crossing[] {
  const groups = new Map<string, Link[]>();
  const height = (link: Link): number => level.nodes.get(inner(link))?.position.y ?? 0;
  for (const link of [...links].sort((a, b) => height(a) - height(b))) {
    const key = `${end(link).node}\n${end(link).slot}`;
    groups.set(key, [...(groups.get(key) ?? []), link]);
  }
  const taken = new Set<string>();
  return [...groups.values()].map((group, place) => {
    const one = first(group);
    const shown = freeName(name(one) || type(one).toLowerCase(), taken);
    taken.add(shown);
    return { port: { id: `${place}-${shown}`, name: shown, type: type(one) }, links: group };
  });
}

function innerLinks(sorted: Sorted, inputs: readonly Crossing[], outputs: readonly Crossing[]): Map<LinkId, Link> {
  const links = new Map(sorted.inner.map((link) => [link.id, link]));
  const straight = (link: Link): Link => omit(link, "via");
  for (const { port, links: crossing } of inputs) {
    for (const link of crossing) links.set(link.id, { ...straight(link), from: { node: INPUTS, slot: port.name } });
  }
  for (const { port, links: crossing } of outputs) {
    const link = first(crossing);
    links.set(link.id, { ...straight(link), to: { node: OUTPUTS, slot: port.name } });
  }
  return links;
}

const definitionOf = (name: string, box: Box, inputs: readonly Crossing[], outputs: readonly Crossing[]): Definition => ({
  name,
  inputs: inputs.map(({ port }) => port),
  outputs: outputs.map(({ port }) => port),
  inputPosition: { x: box.x - ENDS_GAP, y: box.y },
  outputPosition: { x: box.x + box.width + ENDS_GAP / 3, y: box.y },
});

/** A node that stands for a level: its slots are the level's ports. */
export function instanceOf(inner: Level, id: NodeId, position: Point, document: Document, types: NodeTypes): Node {
  const slot = (port: Port): Slot => ({ name: port.name, type: port.type });
  const bare: Node = {
    id,
    type: inner.id,
    position,
    size: { width: 0, height: 0 },
    mode: "normal",
    collapsed: false,
    pinned: false,
    values: {},
    control: {},
    inputs: (inner.definition?.inputs ?? []).map(slot),
    outputs: (inner.definition?.outputs ?? []).map(slot),
    properties: {},
    rest: {},
  };
  const known = { ...document, levels: new Map(document.levels).set(inner.id, inner) };
  return { ...bare, size: estimateSize(slotsOf(known, bare, types), false) };
}

/** Put what is inside an instance in its place. The last instance takes the definition along. */
export function unpack(document: Document, level: Level, id: NodeId): { change: Change; nodes: readonly NodeId[] } | undefined {
  const instance = level.nodes.get(id);
  const inner = instance === undefined ? undefined : document.levels.get(levelId(instance.type));
  if (instance === undefined || inner?.definition === undefined) return undefined;
  const free = freeIds(document, level);
  const nodeIds = new Map([...inner.nodes.keys()].map((each) => [each, free.node()]));
  const corner = around([...inner.nodes.values()].map((node) => ({ ...node.position, width: 0, height: 0 })));
  const by = { x: instance.position.x - (corner?.x ?? 0), y: instance.position.y - (corner?.y ?? 0) };
  const nodes = [...inner.nodes.values()].map((node) => unpackedNode(node, instance, inner, level, nodeIds.get(node.id) ?? node.id, by));
  const { reroutes, rename } = unpackedReroutes(inner, free, by);
  const links = unpackedLinks(level, inner, id, nodeIds).map(({ via, ...link }): Link => {
    const way = via === undefined ? undefined : rename.get(via);
    return { ...link, id: free.link(), ...(way === undefined ? {} : { via: way }) };
  });
  const lost = new Set([...linksAround(level, id).into, ...linksAround(level, id).outOf].map((link) => link.id));
  const last = instancesOf(document, inner.id).length === 1;
  const change = all(
    ...pruneReroutes(level, lost),
    { kind: "remove-node", level: level.id, id },
    ...nodes.map((node): Change => ({ kind: "add-node", level: level.id, node })),
    ...reroutes.map((reroute): Change => ({ kind: "add-reroute", level: level.id, reroute })),
    ...links.map((link): Change => ({ kind: "add-link", level: level.id, link })),
    ...(last ? [{ kind: "remove-level", id: inner.id } satisfies Change] : []),
  );
  return { change, nodes: nodes.map((node) => node.id) };
}

function unpackedNode(node: Node, instance: Node, inner: Level, level: Level, id: NodeId, by: Point): Node {
  const values: Record<string, Json> = { ...node.values };
  // A promoted value is the instance's own: it goes to the field that it stood for.
  for (const link of linksAround(inner, node.id).into) {
    if (link.from.node !== INPUTS || linkTo(level, { node: instance.id, slot: link.from.slot }) !== undefined) continue;
    const value = instance.values[link.from.slot];
    if (value !== undefined) values[link.to.slot] = value;
  }
  const position = { x: node.position.x + by.x, y: node.position.y + by.y };
  return { ...node, id, position, values, mode: instance.mode === "normal" ? node.mode : instance.mode };
}

function unpackedReroutes(inner: Level, free: ReturnType<typeof freeIds>, by: Point): { reroutes: Reroute[]; rename: Map<string, Reroute["id"]> } {
  const rename = new Map<string, Reroute["id"]>([...inner.reroutes.keys()].map((id) => [id, free.reroute()]));
  const used = new Set<string>();
  for (const link of inner.links.values()) {
    if (link.from.node !== INPUTS && link.to.node !== OUTPUTS) for (const each of wayOf(inner, link)) used.add(each.id);
  }
  const reroutes = [...inner.reroutes.values()].filter((each) => used.has(each.id)).map((each): Reroute => {
    const position = { x: each.position.x + by.x, y: each.position.y + by.y };
    const parent = each.parent === undefined ? undefined : rename.get(each.parent);
    const id = rename.get(each.id) ?? each.id;
    return parent === undefined ? { id, position } : { id, position, parent };
  });
  return { reroutes, rename };
}

type Loose = Omit<Link, "id">;

/** The links among what was inside, and those that led into and out of the instance. */
function unpackedLinks(level: Level, inner: Level, id: NodeId, nodeIds: ReadonlyMap<NodeId, NodeId>): Loose[] {
  const renamed = (end: End): End => ({ ...end, node: nodeIds.get(end.node) ?? end.node });
  /** Where a value inside really comes from; undefined if nothing outside feeds it. */
  const sourceOf = (end: End): End | undefined =>
    end.node === INPUTS ? linkTo(level, { node: id, slot: end.slot })?.from : renamed(end);
  const made: Loose[] = [];
  for (const link of inner.links.values()) {
    if (link.to.node === OUTPUTS) continue;
    const from = sourceOf(link.from);
    if (from === undefined || from.node === id) continue;
    const loose = omit(link, "id");
    const kept = link.from.node === INPUTS ? omit(loose, "via") : loose;
    made.push({ ...kept, from, to: renamed(link.to) });
  }
  for (const link of linksAround(level, id).outOf) {
    const feeding = linkTo(inner, { node: OUTPUTS, slot: link.from.slot });
    const from = feeding === undefined ? undefined : sourceOf(feeding.from);
    if (from === undefined || from.node === id || link.to.node === id) continue;
    made.push({ from, to: link.to, type: link.type });
  }
  return made;
}

export interface InstanceAt {
  readonly level: Level;
  readonly node: Node;
}

/** Every instance of a level, wherever it is. */
export const instancesOf = (document: Document, id: LevelId): InstanceAt[] =>
  [...document.levels.values()].flatMap((level) =>
    [...level.nodes.values()].filter((node) => node.type === id).map((node) => ({ level, node })),
  );

/** The level inside a node, if it is an instance of one. */
export function innerOf(document: Document, level: Level, id: NodeId): Level | undefined {
  const node = level.nodes.get(id);
  const inner = node === undefined ? undefined : document.levels.get(levelId(node.type));
  return inner?.definition === undefined ? undefined : inner;
}

/** The nodes that the path leads through: for each level after the first, the instance in the level before. */
export function instancePath(document: Document, path: readonly LevelId[], chosen: readonly NodeId[] = []): NodeId[] {
  return path.slice(1).flatMap((id, place) => {
    const before = path[place] === undefined ? undefined : document.levels.get(path[place]);
    const wanted = chosen[place];
    if (before === undefined) return [];
    if (wanted !== undefined && before.nodes.get(wanted)?.type === id) return [wanted];
    const [any] = [...before.nodes.values()].filter((node) => node.type === id);
    return any === undefined ? [] : [any.id];
  });
}

/** Give a subgraph another name. */
export const renameSubgraph = (inner: Level, name: string): Change | undefined =>
  inner.definition === undefined || name.trim() === ""
    ? undefined
    : { kind: "define-level", id: inner.id, definition: { ...inner.definition, name: name.trim() } };

/** Another definition just like the instance's own, so that it can differ from the other instances. */
export function makeUnique(document: Document, level: Level, id: NodeId, fresh: LevelId): Change | undefined {
  const inner = innerOf(document, level, id);
  if (inner === undefined) return undefined;
  return all({ kind: "add-level", level: { ...inner, id: fresh } }, patchNode(level, id, { type: fresh }));
}

export const feedsInside = (inner: Level, port: string): readonly Link[] => linksFrom(inner, { node: INPUTS, slot: port });
