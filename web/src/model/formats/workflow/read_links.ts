// The links of a level: each input says which link it has, and the table says where that comes from.

import type { Definition, Link, Node, Reroute } from "../../document";
import { INPUTS, linkId, nodeId, OUTPUTS, rerouteId, type LinkId, type NodeId } from "../../ids";
import { isArray, isObject, type Json, type JsonObject } from "../../json";
import type { NodeTypes } from "../../types";
import { highest, idOf, objectOf, pointOf, remembering, typeOf, wholeOf, without } from "../shape";
import { outputNames, type ReadNode } from "./read_node";

/** A row of the table of links. */
export interface Row {
  readonly id: string;
  readonly source: string;
  readonly output: number;
  readonly target: string;
  readonly input: number;
  readonly type: string;
  readonly parent: string | undefined;
  readonly raw: Json;
}

const FIELDS = ["id", "origin_id", "origin_slot", "target_id", "target_slot", "type"];
const LINK_KEYS: ReadonlySet<string> = new Set([...FIELDS, "parentId"]);

/** A row of either shape: a list (0.4) or an object (1). */
export function readRow(data: Json): Row | undefined {
  const isLong = isArray(data) && data.length >= 5;
  if (!isLong && !isObject(data)) return undefined;
  const parts = isArray(data) ? data : FIELDS.map((key) => data[key] ?? null);
  const [id, source, target] = [idOf(parts[0]), idOf(parts[1]), idOf(parts[3])];
  const [output, input] = [wholeOf(parts[2]), wholeOf(parts[4])];
  if (id === undefined || source === undefined || target === undefined) return undefined;
  if (output === undefined || input === undefined) return undefined;
  const parent = isArray(data) ? undefined : idOf(data["parentId"]);
  return { id, source, output, target, input, type: typeOf(parts[5]), parent, raw: data };
}

/** The graph that links are read in. */
export interface Around {
  readonly nodes: readonly ReadNode[];
  readonly types: NodeTypes;
  /** The ports of subgraphs by their id: of those whose instances are sources. */
  readonly definitions: ReadonlyMap<string, Definition>;
  /** Inside a subgraph: its own ports, and the ids that links have for them. */
  readonly inside?: { readonly ports: Definition; readonly inputs: string; readonly outputs: string };
  /** The reroute nearest to the target, by link id. */
  readonly via: ReadonlyMap<string, string>;
  /** Links that version 0.4 lists as hidden. */
  readonly hidden: ReadonlySet<string>;
}

export interface ReadLinks {
  readonly links: Map<LinkId, Link>;
  /** Rows that no input takes up, as they were. */
  readonly strays: readonly Json[];
  /** Rows whose source does not exist. */
  readonly dangling: readonly Link[];
}

export function readLinks(items: readonly Json[], around: Around): ReadLinks {
  const rows = items.map((data) => ({ data, row: data === null ? undefined : readRow(data) }));
  const table = new Map(rows.flatMap(({ row }) => (row === undefined ? [] : [[row.id, row] as const])));
  const ends = endsOf(around, rows.flatMap(({ row }) => row ?? []), table);
  const byId = new Map(around.nodes.map(({ node }) => [node.id, node]));
  const links = new Map<LinkId, Link>();
  const [strays, dangling, again]: [Json[], Link[], [Row, End][]] = [[], [], []];
  for (const { data, row } of rows) {
    if (data === null) continue;
    const source = row === undefined ? undefined : sourceOf(row, byId, around);
    const [first, ...more] = row === undefined ? [] : (ends.get(row) ?? []);
    if (row === undefined || source === undefined || first === undefined) {
      strays.push(data);
      continue;
    }
    if (table.get(row.id) !== row) {
      again.push([row, first]); // another row has its id
      continue;
    }
    const link = linkOf(row, row.id, source, first, around);
    links.set(link.id, link);
    if (link.from.node !== INPUTS && !byId.has(link.from.node)) dangling.push(link);
    again.push(...more.map((end): [Row, End] => [row, end]));
  }
  for (const link of copies(again, highest(table.keys()) + 1, byId, around)) links.set(link.id, link);
  return { links, strays, dangling };
}

/** Links of their own for inputs that share a row with another one. */
function copies(again: readonly [Row, End][], next: number, nodes: ReadonlyMap<NodeId, Node>, around: Around): Link[] {
  return again.flatMap(([row, end]) => {
    const source = sourceOf(row, nodes, around);
    if (source === undefined) return [];
    const link = linkOf(row, String(next++), source, end, around);
    return [{ ...link, rest: without(link.rest ?? {}, new Set()) }];
  });
}

interface End {
  readonly node: NodeId;
  readonly slot: string;
}

/** Which inputs take up which link. The outputs of a subgraph do not say, so there the table counts. */
function endsOf(around: Around, rows: readonly Row[], table: ReadonlyMap<string, Row>): Map<Row, End[]> {
  const ends = new Map<Row, End[]>();
  const add = (row: Row, end: End): unknown => (ends.has(row) ? ends.get(row)?.push(end) : ends.set(row, [end]));
  for (const { node, links } of around.nodes) {
    for (const [number, slot] of node.inputs.entries()) {
      const id = links[number];
      const row = id === undefined ? undefined : table.get(id);
      if (row !== undefined) add(row, { node: node.id, slot: slot.name });
    }
  }
  const inside = around.inside;
  if (inside === undefined) return ends;
  const results = new Map<number, Row>();
  for (const row of rows) if (row.target === inside.outputs) results.set(row.input, row);
  for (const [number, row] of results) {
    const port = inside.ports.outputs[number];
    if (port !== undefined) add(row, { node: OUTPUTS, slot: port.name });
  }
  return ends;
}

function sourceOf(row: Row, nodes: ReadonlyMap<NodeId, Node>, around: Around): End | undefined {
  if (row.source === around.inside?.inputs) {
    const port = around.inside.ports.inputs[row.output];
    return port === undefined ? undefined : { node: INPUTS, slot: port.name };
  }
  const node = nodes.get(nodeId(row.source));
  return { node: nodeId(row.source), slot: outputName(node, row.output, around) };
}

/** The name of an output by its number; `#3` if nobody has a name for it. */
function outputName(node: Node | undefined, number: number, around: Around): string {
  const saved = node?.outputs[number]?.name;
  if (saved !== undefined || node === undefined) return saved ?? `#${number}`;
  const type = around.types.get(node.type);
  const ports = around.definitions.get(node.type)?.outputs;
  const names = type === undefined ? ports?.map((port) => port.name) : outputNames(type);
  return names?.[number] ?? `#${number}`;
}

function linkOf(row: Row, id: string, from: End, to: End, around: Around): Link {
  const via = row.parent ?? around.via.get(row.id);
  const rest = isArray(row.raw) ? (around.hidden.has(row.id) ? { hidden: true } : {}) : without(objectOf(row.raw), LINK_KEYS);
  return {
    id: linkId(id),
    from,
    to,
    type: row.type,
    ...(via === undefined ? {} : { via: rerouteId(via) }),
    rest: remembering(rest, row.raw),
  };
}

/** Reroutes by id, and the parents of links that version 0.4 keeps apart. */
export function readReroutes(items: readonly Json[]): Map<Reroute["id"], Reroute> {
  const reroutes = new Map<Reroute["id"], Reroute>();
  for (const item of items) {
    const id = isObject(item) ? idOf(item["id"]) : undefined;
    if (id === undefined) continue;
    const parent = idOf(objectOf(item)["parentId"]);
    const own = { id: rerouteId(id), position: pointOf(objectOf(item)["pos"]) };
    reroutes.set(own.id, parent === undefined ? own : { ...own, parent: rerouteId(parent) });
  }
  return reroutes;
}

export function readParents(items: readonly Json[]): Map<string, string> {
  const parents = new Map<string, string>();
  for (const item of items) {
    const data: JsonObject = objectOf(item);
    const [id, parent] = [idOf(data["id"]), idOf(data["parentId"])];
    if (id !== undefined && parent !== undefined) parents.set(id, parent);
  }
  return parents;
}
