// Writer of the community's workflow JSON: version 0.4 at the root, which is what everybody reads, 1 in definitions.

import type { Definition, Document, Frame, Level, Link, Port, Reroute } from "../../document";
import { INPUTS, OUTPUTS, ROOT } from "../../ids";
import { isArray, isObject, type Json, type JsonObject } from "../../json";
import type { NodeTypes } from "../../types";
import {
  fileOf, HIDDEN_LINKS, highest, idOf, inOrderOf, kept, member, objectOf, pointOf, same, spelledBy, textOf, typeOf, without, writtenId,
  type Fields,
} from "../shape";
import { layoutOf } from "./layouts";
import { frameBox, placeOf } from "./read";
import { optionalText } from "./read_node";
import { readRow } from "./read_links";
import { outputNumber, slotsOf, wiringOf, type Slots } from "./slots";
import { writeNode } from "./write_node";

interface Writing {
  readonly document: Document;
  readonly types: NodeTypes;
}

/** The workflow JSON of `document`; `read` of it gives the same document. */
export function workflowJson(document: Document, types: NodeTypes): JsonObject {
  const writing = { document, types };
  const root = document.levels.get(ROOT);
  if (root === undefined) throw new Error("a document has a root");
  const raw = spelledBy(document.rest);
  const parts = writeLevel(root, false, writing);
  const subgraphs = [...document.levels.values()].filter((level) => level.definition !== undefined);
  const definitions = objectOf(document.rest["definitions"]);
  const hadSubgraphs = raw !== undefined && Object.hasOwn(raw, "definitions");
  const fields: Fields = [
    ["id", document.id],
    ["revision", member(document.rest, "revision") ?? (raw === undefined ? 0 : undefined)],
    ["last_node_id", lastId(raw, "last_node_id", parts.lastNode)],
    ["last_link_id", lastId(raw, "last_link_id", parts.lastLink)],
    ["nodes", parts.nodes],
    ["links", parts.links],
    ["groups", parts.groups],
    ["config", raw === undefined ? {} : undefined],
    ["extra", extraOf(document, parts, raw === undefined)],
    ["version", 0.4],
    ["definitions", subgraphs.length > 0 || hadSubgraphs
      ? { ...definitions, subgraphs: subgraphs.map((level) => writeSubgraph(level, writing)) } : undefined],
    ...stateOf(document.rest, parts),
    ...Object.entries(without(document.rest, new Set(["revision", "extra", "definitions", "state"]))),
  ];
  return inOrderOf(raw, fields);
}

const lastId = (raw: JsonObject | undefined, key: string, last: number): Json =>
  Math.max(typeof raw?.[key] === "number" ? raw[key] : 0, last);

/** Version 0.4 keeps its reroutes in `extra`, and apart from them where each link ends. */
function extraOf(document: Document, parts: Parts, isNew: boolean): JsonObject | undefined {
  const order = objectOf(fileOf(document.rest)["extra"]);
  const kept = Object.entries(objectOf(document.rest["extra"]));
  const had = (key: string): boolean => Object.hasOwn(order, key);
  const fields: Fields = [
    ...kept,
    ["reroutes", parts.reroutes.length > 0 || had("reroutes") ? parts.reroutes : undefined],
    ["linkExtensions", parts.parents.length > 0 || had("linkExtensions") ? parts.parents : undefined],
    [HIDDEN_LINKS, parts.hidden.length > 0 ? parts.hidden : undefined],
  ];
  const extra = inOrderOf(order, fields);
  return isNew || Object.hasOwn(document.rest, "extra") || Object.keys(extra).length > 0 ? extra : undefined;
}

function stateOf(rest: JsonObject, parts: Parts): Fields {
  const state = rest["state"];
  if (!isObject(state)) return state === undefined ? [] : [["state", state]];
  const raised = (key: string, last: number): JsonObject =>
    typeof state[key] === "number" && state[key] < last ? { [key]: last } : {};
  return [["state", { ...state, ...raised("lastNodeId", parts.lastNode), ...raised("lastLinkId", parts.lastLink) }]];
}

function writeSubgraph(level: Level, writing: Writing): JsonObject {
  const { definition } = level;
  if (definition === undefined) throw new Error(`level ${level.id} is no subgraph`);
  const raw = spelledBy(level.rest);
  const parts = writeLevel(level, true, writing);
  /** What a new subgraph is given that others read. */
  const orNew = (key: string, fresh: Json): readonly [string, Json | undefined] =>
    [key, member(level.rest, key) ?? (raw === undefined ? fresh : undefined)];
  const state = { lastNodeId: parts.lastNode, lastLinkId: parts.lastLink, lastGroupId: 0, lastRerouteId: parts.lastReroute };
  const fields: Fields = [
    kept(raw, "id", idOf, level.id as string, level.id),
    ["version", 1],
    ...(raw === undefined && level.rest["state"] === undefined ? [["state", state] as const] : stateOf(level.rest, parts)),
    orNew("revision", 0),
    orNew("config", {}),
    kept(raw, "name", textOf, definition.name, definition.name),
    kept(raw, "description", optionalText, definition.description, definition.description),
    kept(raw, "category", optionalText, definition.category, definition.category),
    ["inputNode", borderNode(raw, "inputNode", -10, definition.inputPosition)],
    ["outputNode", borderNode(raw, "outputNode", -20, definition.outputPosition)],
    ["inputs", definition.inputs.map((port) => writePort(port, parts.portLinks(INPUTS, port.name)))],
    ["outputs", definition.outputs.map((port) => writePort(port, parts.portLinks(OUTPUTS, port.name)))],
    orNew("widgets", []),
    ["nodes", parts.nodes],
    ["groups", parts.groups],
    ["links", parts.links],
    ["reroutes", parts.reroutes.length > 0 || (raw !== undefined && Object.hasOwn(raw, "reroutes")) ? parts.reroutes : undefined],
    orNew("extra", {}),
    ...Object.entries(without(level.rest, new Set(["state", "revision", "config", "widgets", "extra"]))),
  ];
  return inOrderOf(raw, fields);
}

function borderNode(raw: JsonObject | undefined, key: string, id: number, at: Definition["inputPosition"]): Json {
  const before = objectOf(raw?.[key]);
  const bounding = isArray(before["bounding"]) ? before["bounding"] : [];
  const moved = [at.x, at.y, bounding[2] ?? 120, bounding[3] ?? 60];
  if (isObject(raw?.[key]) && same(placeOf(before), at)) return before;
  return { ...before, id: idOf(before["id"]) === undefined ? id : (before["id"] ?? id), bounding: moved };
}

function writePort(port: Port, links: readonly Json[]): JsonObject {
  const raw = spelledBy(port.rest);
  const rest = port.rest ?? {};
  const name = rest["name"] ?? port.name;
  const ids = (value: Json | undefined): string[] => (isArray(value) ? value.map((id) => idOf(id) ?? "").sort() : []);
  const fields: Fields = [
    kept(raw, "id", (value) => idOf(value) ?? port.name, port.id, port.id),
    kept(raw, "name", textOf, textOf(name), name),
    kept(raw, "type", typeOf, port.type, port.type),
    kept(raw, "linkIds", ids, ids(links), links),
    kept(raw, "label", optionalText, port.label, port.label),
    ...Object.entries(without(rest, new Set(["name"]))),
  ];
  return inOrderOf(raw, fields);
}

/** The parts of a level as they are written. */
interface Parts {
  readonly nodes: Json[];
  readonly links: Json[];
  readonly groups: Json[];
  readonly reroutes: Json[];
  readonly parents: Json[];
  readonly hidden: number[];
  readonly lastNode: number;
  readonly lastLink: number;
  readonly lastReroute: number;
  portLinks(border: typeof INPUTS, port: string): readonly Json[];
}

function writeLevel(level: Level, isSubgraph: boolean, { document, types }: Writing): Parts {
  const { levels } = document;
  const links = numbers(level.links.keys());
  const reroutes = numbers(level.reroutes.keys());
  const linkNumber = (link: Link): number => links.get(link.id) ?? 0;
  const wiring = wiringOf(level);
  const slots = new Map([...level.nodes.values()].map((node) => [node.id, slotsOf(level, node, levels, types)]));
  const written = new Set([...links.values()].map(String));
  const nodes = [...level.nodes.values()].map((node, order) => {
    return writeNode(node, {
      slots: slots.get(node.id) ?? { inputs: [], outputs: [] },
      layout: layoutOf(node, levels, types),
      into: wiring.into.get(node.id),
      outOf: wiring.outOf.get(node.id),
      linkNumber,
      isLink: (id) => written.has(id),
      order,
    });
  });
  const numbered = (link: Link): Row => rowOf(link, linkNumber(link), level, slots, reroutes);
  const rows = [...level.links.values()].map((link) => writeRow(link, numbered(link), isSubgraph));
  const strays = straysOf(level, written);
  return {
    nodes,
    links: [...rows, ...strays],
    groups: writeFrames(level),
    reroutes: writeReroutes(level, links, reroutes),
    parents: parentsOf(level, links, reroutes),
    hidden: [...level.links.values()].filter((link) => link.rest?.["hidden"] === true).map(linkNumber),
    lastNode: highest(level.nodes.keys()),
    lastLink: highest(written),
    lastReroute: highest([...reroutes.values()].map(String)),
    portLinks: (border, port) => {
      const into = wiring.into.get(border)?.get(port);
      const found = border === INPUTS ? (wiring.outOf.get(border)?.get(port) ?? []) : into === undefined ? [] : [into];
      return found.map(linkNumber);
    },
  };
}

/** The number that each id is written as: other programs take numbers only. */
function numbers<K extends string>(ids: Iterable<K>): Map<K, number> {
  const all = [...ids];
  let next = highest(all) + 1;
  return new Map(all.map((id) => [id, /^(0|[1-9]\d{0,14})$/.test(id) ? Number(id) : next++]));
}

/** Rows of the file that no input takes up are kept, as long as no link got their id. */
function straysOf(level: Level, written: ReadonlySet<string>): Json[] {
  const strays = fileOf(level.rest)["strays"];
  if (!isArray(strays)) return [];
  return strays.filter((item) => {
    const row = readRow(item);
    return row === undefined || !written.has(row.id);
  });
}

interface Row {
  readonly id: number;
  readonly source: Json;
  readonly output: number;
  readonly target: Json;
  readonly input: number;
  readonly type: string;
  readonly parent: number | undefined;
}

function rowOf(link: Link, id: number, level: Level, slots: ReadonlyMap<string, Slots>, reroutes: ReadonlyMap<string, number>): Row {
  const ports = level.definition;
  const { from, to } = link;
  const file = spelledBy(level.rest);
  const border = (key: string, otherwise: number): Json => objectOf(file?.[key])["id"] ?? otherwise;
  const outputs = from.node === INPUTS && ports !== undefined ? ports.inputs : (slots.get(from.node)?.outputs ?? []);
  const inputs = to.node === OUTPUTS && ports !== undefined ? ports.outputs : (slots.get(to.node)?.inputs ?? []);
  return {
    id,
    source: from.node === INPUTS && ports !== undefined ? border("inputNode", -10) : writtenId(from.node),
    output: outputNumber(outputs, from.slot),
    target: to.node === OUTPUTS && ports !== undefined ? border("outputNode", -20) : writtenId(to.node),
    input: Math.max(0, inputs.findIndex((slot) => slot.name === to.slot)),
    type: link.type,
    parent: link.via === undefined ? undefined : reroutes.get(link.via),
  };
}

/** Whether a row of the file says the same, save for reroutes. */
function isSameRow(row: Row, read: ReturnType<typeof readRow>): boolean {
  if (read === undefined) return false;
  const { id, source, output, target, input, type } = read;
  return same([id, source, output, target, input, type], [String(row.id), idOf(row.source), row.output, idOf(row.target), row.input, row.type]);
}

function writeRow(link: Link, row: Row, isObjectRow: boolean): Json {
  const raw = fileOf(link.rest)["raw"];
  const read = raw === undefined ? undefined : readRow(raw);
  const isSame = isSameRow(row, read);
  if (!isObjectRow) {
    if (isSame && isArray(raw)) return raw;
    const extra = isArray(raw) ? raw.slice(6) : [];
    return [row.id, row.source, row.output, row.target, row.input, row.type, ...extra];
  }
  const isParent = read?.parent === (row.parent === undefined ? undefined : String(row.parent));
  if (isSame && isParent && isObject(raw)) return raw;
  return inOrderOf(objectOf(raw), [
    ["id", row.id],
    ["origin_id", row.source],
    ["origin_slot", row.output],
    ["target_id", row.target],
    ["target_slot", row.input],
    ["type", row.type],
    ["parentId", row.parent],
    ...Object.entries(without(link.rest ?? {}, new Set())),
  ]);
}

function writeFrames(level: Level): Json[] {
  const ids = numbers(level.frames.keys());
  return [...level.frames.values()].map((frame: Frame) => {
    const raw = spelledBy(frame.rest);
    const { position, size } = frame;
    const box = [position.x, position.y, size.width, size.height];
    const hadNone = raw !== undefined && idOf(raw["id"]) === undefined;
    return inOrderOf(raw, [
      hadNone ? ["id", member(raw, "id")] : kept(raw, "id", idOf, frame.id as string, ids.get(frame.id)),
      kept(raw, "title", textOf, frame.title, frame.title),
      kept(raw, "bounding", frameBox, { position, size }, box),
      kept(raw, "color", optionalText, frame.color, frame.color),
      ...Object.entries(without(frame.rest, new Set())),
    ]);
  });
}

/** Reroutes with the links that lead through them. */
function writeReroutes(level: Level, links: ReadonlyMap<string, number>, ids: ReadonlyMap<string, number>): Json[] {
  const through = new Map<string, number[]>();
  for (const link of level.links.values()) {
    const passed = new Set<string>();
    for (let at = link.via; at !== undefined && !passed.has(at); at = level.reroutes.get(at)?.parent) {
      passed.add(at);
      through.set(at, [...(through.get(at) ?? []), links.get(link.id) ?? 0]);
    }
  }
  const listed = fileOf(level.rest)["reroutes"];
  const before = new Map((isArray(listed) ? listed : []).map((item) => [idOf(objectOf(item)["id"]), objectOf(item)]));
  const numbersIn = (value: Json | undefined): string[] => (isArray(value) ? value.map((id) => idOf(id) ?? "").sort() : []);
  return [...level.reroutes.values()].map((reroute: Reroute) => {
    const raw = before.get(reroute.id);
    const linked = through.get(reroute.id) ?? [];
    const parent = reroute.parent === undefined ? undefined : (ids.get(reroute.parent) ?? writtenId(reroute.parent));
    return inOrderOf(raw, [
      kept(raw, "id", idOf, reroute.id as string, ids.get(reroute.id)),
      kept(raw, "parentId", idOf, reroute.parent, parent),
      kept(raw, "pos", pointOf, reroute.position, [reroute.position.x, reroute.position.y]),
      kept(raw, "linkIds", numbersIn, numbersIn(linked), linked),
      ...Object.entries(without(raw ?? {}, new Set(["id", "parentId", "pos", "linkIds"]))),
    ]);
  });
}

/** Where each link through reroutes ends, as version 0.4 keeps it: in the order and with the keys that the file had. */
function parentsOf(level: Level, links: ReadonlyMap<string, number>, ids: ReadonlyMap<string, number>): Json[] {
  const listed = fileOf(level.rest)["parents"];
  const rows = [...level.links.values()].flatMap((link): [string, JsonObject][] => {
    const parent = link.via === undefined ? undefined : ids.get(link.via);
    const id = links.get(link.id) ?? 0;
    return parent === undefined ? [] : [[String(id), { id, parentId: parent }]];
  });
  const now = new Map(rows);
  const before = (isArray(listed) ? listed : []).flatMap((item): Json[] => {
    const raw = objectOf(item);
    const id = idOf(raw["id"]) ?? "";
    const row = now.get(id);
    now.delete(id);
    return row === undefined ? [] : [idOf(raw["parentId"]) === idOf(row["parentId"]) ? raw : { ...raw, ...row }];
  });
  return [...before, ...now.values()];
}
