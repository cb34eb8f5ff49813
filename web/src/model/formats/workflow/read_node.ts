// A node of a file as a node of the document.

import type { Mode, Node, Size, Slot } from "../../document";
import type { NodeId } from "../../ids";
import { isObject, type Json, type JsonObject } from "../../json";
import type { NodeType } from "../../types";
import {
  badShape, fileOf, idOf, listOf, member, objectOf, outline, pointOf, remembering, saidName, sizeOf, textOf, typeOf, uniqueNames,
  wholeOf, without,
} from "../shape";
import { CONTROLS, LIST, NAMED, readValues, type Layout } from "./values";

export const DEFAULT_SIZE: Size = { width: 220, height: 100 };

const SLOT_KEYS: ReadonlySet<string> = new Set(["name", "type", "label", "link", "links", "widget"]);
const PLAIN_KEYS = ["id", "type", "title", "pos", "size", "order", "mode", "color", "inputs", "outputs", LIST];
const NODE_KEYS: ReadonlySet<string> = new Set([...PLAIN_KEYS, "flags", "properties"]);
const FLAGS: ReadonlySet<string> = new Set(["collapsed", "pinned"]);
/** Keys whose value is looked at again when the node is written. */
const SPELLED: ReadonlySet<string> = new Set([...NODE_KEYS, NAMED, CONTROLS]);

export interface ReadNode {
  readonly node: Node;
  /** The link id that the file has at each input. */
  readonly links: readonly (string | undefined)[];
}

export const modeOf = (value: Json | undefined): Mode => {
  const mode = wholeOf(value);
  return mode === 2 ? "mute" : mode === 4 ? "bypass" : "normal";
};

export const flagOf = (flags: Json | undefined, name: string): boolean => member(objectOf(flags), name) === true;
export const otherFlags = (flags: Json | undefined): JsonObject => without(objectOf(flags), FLAGS);
export const optionalText = (value: Json | undefined): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

/** The node in `data`. Its values have no names yet, see `named`. */
export function readNode(data: Json, path: string, type: NodeType | undefined, taken: (id: string) => NodeId): ReadNode {
  if (!isObject(data)) throw badShape(path, "a node", data);
  const kind = data["type"];
  if (typeof kind !== "string") throw badShape(`${path}.type`, "the name of a node type", kind);
  const id = idOf(data["id"]);
  if (id === undefined) throw badShape(`${path}.id`, "an id, a number or text", data["id"]);
  const inputs = listOf(data["inputs"], `${path}.inputs`);
  const outputs = listOf(data["outputs"], `${path}.outputs`);
  const [title, color] = [optionalText(data["title"]), optionalText(data["color"])];
  const values = data[LIST];
  const flags = otherFlags(data["flags"]);
  const node: Node = {
    id: taken(id),
    type: kind,
    ...(title === undefined ? {} : { title }),
    position: pointOf(data["pos"]),
    size: sizeOf(data["size"], DEFAULT_SIZE),
    mode: modeOf(data["mode"]),
    collapsed: flagOf(data["flags"], "collapsed"),
    pinned: flagOf(data["flags"], "pinned"),
    ...(color === undefined ? {} : { color }),
    values: {},
    control: {},
    inputs: readSlots(inputs, `${path}.inputs`),
    outputs: renamed(readSlots(outputs, `${path}.outputs`), type),
    ...(values === undefined || values === null ? {} : { unnamedValues: values }),
    properties: objectOf(data["properties"]),
    rest: remembering({ ...without(data, NODE_KEYS), ...(Object.keys(flags).length > 0 ? { flags } : {}) }, spelling(data)),
  };
  return { node, links: inputs.map((slot) => idOf(objectOf(slot)["link"])) };
}

/** What the node looks like in its file, less what the node holds anyway. */
function spelling(data: JsonObject): JsonObject {
  const raw = outline(data, SPELLED);
  return isObject(data["properties"]) ? { ...raw, properties: {} } : raw;
}

export function readSlots(items: readonly Json[], path: string): Slot[] {
  const slots = items.map((item, number) => {
    if (!isObject(item)) throw badShape(`${path}[${number}]`, "an input or output", item);
    return item;
  });
  const names = uniqueNames(slots.map((slot) => textOf(slot["name"])));
  return slots.map((slot, number) => readSlot(slot, names[number] ?? ""));
}

function readSlot(data: JsonObject, name: string): Slot {
  const label = optionalText(data["label"]);
  const said = textOf(data["name"]);
  const rest = { ...without(data, SLOT_KEYS), ...(name === said ? {} : { name: said }) };
  return {
    name,
    type: typeOf(data["type"]),
    ...(label === undefined ? {} : { label }),
    ...(isObject(data["widget"]) ? { widget: true } : {}),
    ...(Object.keys(rest).length > 0 ? { rest } : {}),
  };
}

/** Outputs under the names of the definition: files have some under translated or former names. */
function renamed(slots: Slot[], type: NodeType | undefined): Slot[] {
  if (type === undefined) return slots;
  // By their place, as links count them.
  const names = outputNames(type);
  const all = uniqueNames(slots.map((slot, number) => names[number] ?? slot.name));
  return slots.map((slot, number) => {
    const name = all[number] ?? slot.name;
    return name === slot.name ? slot : { ...slot, name, rest: { ...slot.rest, name: saidName(slot) } };
  });
}

/** Names of outputs as links use them: unique, the second `IMAGE` is `IMAGE (2)`. */
export const outputNames = (type: NodeType): string[] => uniqueNames(type.outputs.map((output) => output.name));

/** `node` with its saved values by name. */
export function named(node: Node, layout: Layout | undefined): Node {
  if (layout === undefined) return node;
  const saved: JsonObject = {
    ...(node.unnamedValues === undefined ? {} : { [LIST]: node.unnamedValues }),
    ...Object.fromEntries(Object.entries(node.rest).filter(([key]) => key === NAMED || key === CONTROLS)),
  };
  const read = readValues(layout, saved);
  const values = { ...read.values, ...node.values };
  const control = { ...read.control, ...node.control };
  const others = { ...node };
  delete (others as { unnamedValues?: Json }).unnamedValues;
  const file = fileOf(node.rest);
  const rest = without(node.rest, new Set([NAMED, CONTROLS]));
  const raw = file["raw"];
  if (raw === undefined) return { ...others, values, control, rest };
  return { ...others, values, control, rest: remembering(rest, raw, { values: read.values, control: read.control }) };
}
