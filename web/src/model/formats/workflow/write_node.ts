// A node of the document as a node of a file. What did not change keeps the spelling that it was read with.

import type { Link, Node, Slot } from "../../document";
import { isArray, isObject, type Json, type JsonObject } from "../../json";
import {
  fileOf, idOf, inOrderOf, kept, member, objectOf, pointOf, saidName, same, sizeOf, spelledBy, textOf, typeOf, without,
  writtenId, type Fields,
} from "../shape";
import { DEFAULT_SIZE, flagOf, modeOf, optionalText, otherFlags, readSlots } from "./read_node";
import type { Slots } from "./slots";
import { CONTROLS, LIST, NAMED, writeValues, type Layout, type Named } from "./values";

/** What a node is written with. */
export interface Surroundings {
  readonly slots: Slots;
  readonly layout: Layout | undefined;
  readonly into: ReadonlyMap<string, Link> | undefined;
  readonly outOf: ReadonlyMap<string, readonly Link[]> | undefined;
  /** The id under which a link is written. */
  readonly linkNumber: (link: Link) => Json;
  readonly isLink: (id: string) => boolean;
  /** Its place among the nodes; editors take it as a hint of the order to run in. */
  readonly order: number;
}

const MODE = { normal: 0, mute: 2, bypass: 4 } as const;

export function writeNode(node: Node, around: Surroundings): JsonObject {
  const raw = spelledBy(node.rest);
  const { position, size } = node;
  const flags = { ...objectOf(node.rest["flags"]), ...on("collapsed", node), ...on("pinned", node) };
  const rest = Object.entries(without(node.rest, new Set(["flags"])));
  const values = valuesOf(node, around, raw);
  const valueKeys = new Set([LIST, NAMED, CONTROLS]);
  const fields: Fields = [
    kept(raw, "id", idOf, node.id as string, writtenId(node.id)),
    ["type", node.type],
    kept(raw, "title", optionalText, node.title, node.title),
    kept(raw, "pos", pointOf, position, pairLike(raw?.["pos"], position.x, position.y)),
    kept(raw, "size", (value) => sizeOf(value, DEFAULT_SIZE), size, pairLike(raw?.["size"], size.width, size.height)),
    kept(raw, "flags", (value) => [flagOf(value, "collapsed"), flagOf(value, "pinned"), otherFlags(value)],
      [node.collapsed, node.pinned, objectOf(node.rest["flags"])], flags),
    ["order", raw === undefined ? around.order : member(raw, "order")],
    kept(raw, "mode", modeOf, node.mode, MODE[node.mode]),
    ["inputs", writeSlots(around.slots.inputs, raw, "inputs", around)],
    ["outputs", writeSlots(around.slots.outputs, raw, "outputs", around)],
    ["properties", propertiesOf(node, raw)],
    ...[...valueKeys].map((key): readonly [string, Json | undefined] => [key, member(values, key)]),
    kept(raw, "color", optionalText, node.color, node.color),
    ...rest.filter(([key]) => !valueKeys.has(key)),
  ];
  return inOrderOf(raw, fields);
}

/** Old files have pairs as objects with the keys 0 and 1. */
const pairLike = (file: Json | undefined, first: number, second: number): Json =>
  isObject(file) ? { ...file, "0": first, "1": second } : [first, second, ...(isArray(file) ? file.slice(2) : [])];

const on = (flag: "collapsed" | "pinned", node: Node): JsonObject => (node[flag] ? { [flag]: true } : {});

/** The outline of the file has an empty object where there was one, since the node holds what was in it. */
function propertiesOf(node: Node, raw: JsonObject | undefined): Json | undefined {
  const isEmpty = Object.keys(node.properties).length === 0;
  const spelled = raw === undefined ? undefined : member(raw, "properties");
  return raw !== undefined && isEmpty && !isObject(spelled) ? spelled : node.properties;
}

function valuesOf(node: Node, around: Surroundings, raw: JsonObject | undefined): JsonObject {
  const named: Named = { values: node.values, control: node.control };
  const beside = Object.fromEntries(Object.entries(node.rest).filter(([key]) => key === NAMED || key === CONTROLS));
  if (node.unnamedValues !== undefined) {
    const more = Object.keys(node.values).length > 0 ? { [NAMED]: { ...objectOf(beside[NAMED]), ...node.values } } : {};
    return { [LIST]: node.unnamedValues, ...beside, ...more };
  }
  const before = fileOf(node.rest);
  const saved = Object.fromEntries(Object.entries(raw ?? {}).filter(([key]) => [LIST, NAMED, CONTROLS].includes(key)));
  const isNamed = isObject(before["values"]);
  if (!isNamed && same(named, { values: {}, control: {} })) return { ...saved, ...beside };
  return writeValues(around.layout, saved, isNamed ? (before as unknown as Named) : undefined, named);
}

type Side = "inputs" | "outputs";

function writeSlots(slots: readonly Slot[], raw: JsonObject | undefined, side: Side, around: Surroundings): Json | undefined {
  const listed = raw === undefined ? undefined : member(raw, side);
  if (slots.length === 0) return raw === undefined || (isArray(listed) && listed.length > 0) ? [] : listed;
  const items = isArray(listed) ? listed : [];
  const before = new Map(readSlots(items, side).map((slot, number) => [slot.name, items[number]]));
  // Outputs of known types have the names of the definition, so what the file called them is asked for.
  const spelled = (slot: Slot, number: number): Json | undefined => {
    const here = items[number];
    return textOf(objectOf(here)["name"]) === saidName(slot) ? here : (before.get(slot.name) ?? before.get(saidName(slot)));
  };
  return slots.map((slot, number) => writeSlot(slot, objectOf(spelled(slot, number)), side, around));
}

function writeSlot(slot: Slot, raw: JsonObject, side: Side, around: Surroundings): JsonObject {
  const known = Object.keys(raw).length > 0 ? raw : undefined;
  const name = slot.rest?.["name"] ?? slot.name;
  const fields: Fields = [
    kept(known, "name", textOf, textOf(name), name),
    kept(known, "type", typeOf, slot.type, slot.type),
    side === "inputs" ? linkAt(slot, known, around) : linksAt(slot, known, around),
    kept(known, "label", optionalText, slot.label, slot.label),
    kept(known, "widget", isObject, slot.widget === true, slot.widget === true ? { name } : undefined),
    ...Object.entries(without(slot.rest ?? {}, new Set(["name"]))),
  ];
  return inOrderOf(known, fields);
}

function linkAt(slot: Slot, raw: JsonObject | undefined, around: Surroundings): Fields[number] {
  const link = around.into?.get(slot.name);
  if (link !== undefined) return kept(raw, "link", idOf, idOf(around.linkNumber(link)), around.linkNumber(link));
  const said = raw === undefined ? null : member(raw, "link");
  const id = idOf(said);
  // An id that no link has is the file's own business, until a link gets it.
  return ["link", id !== undefined && around.isLink(id) ? null : said];
}

function linksAt(slot: Slot, raw: JsonObject | undefined, around: Surroundings): Fields[number] {
  const links = (around.outOf?.get(slot.name) ?? []).map(around.linkNumber);
  // Ids that no link has are the file's own business here too.
  const ids = (value: Json | undefined): string[] =>
    (isArray(value) ? value.map((id) => idOf(id) ?? "") : []).filter(around.isLink).sort();
  return kept(raw, "links", ids, ids(links), links.length > 0 ? links : null);
}
