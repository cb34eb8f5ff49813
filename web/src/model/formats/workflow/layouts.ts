// The widgets of a node in the order in which files list their values.

import type { Document, Level, Node } from "../../document";
import { INPUTS, levelId, type LevelId } from "../../ids";
import { isArray, parseJson, type Json } from "../../json";
import { inputNamed } from "../../inputs";
import { GET, SET } from "../../own-types";
import type { InputType, NodeType, NodeTypes, Variant } from "../../types";
import { saidName } from "../shape";
import type { Layout, Row } from "./values";

export const NOTES: ReadonlySet<string> = new Set(["Note", "MarkdownNote"]);
export const REROUTE = "Reroute";
export const PRIMITIVE = "PrimitiveNode";
/** What the one value of a PrimitiveNode is called. */
export const VALUE = "value";
export { GET, SET };
/** Node types that exist in editors only. */
export const VIRTUAL: ReadonlySet<string> = new Set([...NOTES, REROUTE, PRIMITIVE, SET, GET]);

const MAX_NESTING = 64;

export type Levels = Document["levels"];

/** Whether an input has an after-run control. */
export const isControlled = (input: InputType): boolean =>
  input.widget?.kind === "int"
    ? input.widget.controlled
    : input.widget?.kind === "choice" && Boolean(input.options["control_after_generate"] ?? false);

const rowOf = (input: InputType): Row => ({
  name: input.name,
  control: isControlled(input),
  isSwitch: input.widget?.kind === "switch",
  fallback: input.widget?.default ?? null,
  ...(input.widget?.kind === "choice" && input.widget.upload !== undefined ? { upload: input.widget.upload } : {}),
  ...(input.variants === undefined ? {} : { brings: rowsBrought(input.variants) }),
});

const rowsOf = (inputs: readonly InputType[]): Row[] => inputs.filter((input) => input.widget !== undefined).map(rowOf);

function rowsBrought(variants: readonly Variant[]): (value: Json) => readonly Row[] {
  const rows = new Map(variants.map(({ key, inputs }) => [key, rowsOf(inputs)]));
  return (value) => rows.get(value) ?? [];
}

const ROWS = new WeakMap<NodeType, Layout>();

function layoutOfType(type: NodeType): Layout {
  const known = ROWS.get(type);
  if (known !== undefined) return known;
  const rows = rowsOf(type.inputs);
  const layout: Layout = () => rows;
  ROWS.set(type, layout);
  return layout;
}

const TEXT: Layout = () => [{ name: "text", fallback: "" }];
const HELD: Layout = () => [{ name: VALUE, control: true, fallback: null }];
const NOTHING: Layout = () => [];

/** The layout of `node`, undefined if its type is not known. */
export function layoutOf(node: Node, levels: Levels, types: NodeTypes): Layout | undefined {
  if (NOTES.has(node.type)) return TEXT;
  if (node.type === PRIMITIVE) return HELD;
  if (node.type === REROUTE) return NOTHING;
  const level = levels.get(levelId(node.type));
  if (level?.definition !== undefined) return layoutOfInstance(node, level, levels, types);
  const type = types.get(node.type);
  return type === undefined ? undefined : layoutOfType(type);
}

function layoutOfInstance(node: Node, level: Level, levels: Levels, types: NodeTypes): Layout {
  const ports = level.definition?.inputs ?? [];
  const promoted = portWidgets(levels, level.id, types);
  const own = new Set(node.inputs.filter((slot) => slot.widget === true).map(saidName));
  const rows = new Map<string, Row>();
  for (const { name } of ports) {
    const widget = promoted.get(name);
    if (widget === undefined && !own.has(name)) continue;
    // A value that the instance does not hold is the inner widget's: null says so.
    rows.set(name, { name, fallback: null });
  }
  const proxies = proxiesOf(node).map(([owner, name]): Row => {
    return (owner === "-1" ? rows.get(name) : undefined) ?? { name: undefined, fallback: null };
  });
  return (saved) => (proxies.length === saved ? proxies : [...rows.values()]);
}

/** `properties.proxyWidgets`: pairs of inner node id and widget name; for a while they were saved as text. */
export function proxiesOf(node: Node): [string, string][] {
  let listed: Json = node.properties["proxyWidgets"] ?? null;
  if (typeof listed === "string") {
    try {
      listed = parseJson(listed);
    } catch {
      return [];
    }
  }
  if (!isArray(listed)) return [];
  return listed.flatMap((row): [string, string][] => {
    if (!isArray(row)) return [];
    const [owner, name] = row;
    const id = typeof owner === "string" || typeof owner === "number" || typeof owner === "bigint" ? String(owner) : undefined;
    return id !== undefined && typeof name === "string" ? [[id, name]] : [];
  });
}

/** The widget that a subgraph's input leads to; `unknown` when only the file says that there is one. */
export type PortWidget = InputType | "unknown";
type PortWidgets = ReadonlyMap<string, PortWidget>;

const NONE: PortWidgets = new Map();
const FOUND = new WeakMap<Levels, WeakMap<NodeTypes, Map<LevelId, PortWidgets>>>();

/** Of each input of a subgraph that leads to a widget inside, at any depth: that widget, by the input's name. */
export function portWidgets(levels: Levels, id: LevelId, types: NodeTypes): PortWidgets {
  let perTypes = FOUND.get(levels);
  if (perTypes === undefined) FOUND.set(levels, (perTypes = new WeakMap()));
  let known = perTypes.get(types);
  if (known === undefined) perTypes.set(types, (known = new Map()));
  return find(levels, id, types, known, 0);
}

function find(levels: Levels, id: LevelId, types: NodeTypes, known: Map<LevelId, PortWidgets>, depth: number): PortWidgets {
  const before = known.get(id);
  const level = levels.get(id);
  if (before !== undefined || level === undefined || depth > MAX_NESTING) return before ?? NONE;
  known.set(id, NONE); // for a subgraph that contains itself
  const found = new Map<string, PortWidget>();
  for (const link of level.links.values()) {
    const node = link.from.node === INPUTS ? level.nodes.get(link.to.node) : undefined;
    if (node === undefined) continue;
    const inner = levels.has(levelId(node.type)) ? find(levels, levelId(node.type), types, known, depth + 1) : NONE;
    const widget = widgetAt(node, link.to.slot, types.get(node.type), inner);
    if (widget !== undefined && (found.get(link.from.slot) ?? "unknown") === "unknown") found.set(link.from.slot, widget);
  }
  known.set(id, found);
  return found;
}

function widgetAt(node: Node, slot: string, type: NodeType | undefined, inner: PortWidgets): PortWidget | undefined {
  const saved = node.inputs.find((item) => item.name === slot);
  const name = saved === undefined ? slot : saidName(saved);
  const declared = inputNamed(type, name, node.values);
  if (declared !== undefined) return declared.widget === undefined ? undefined : declared;
  return inner.get(name) ?? (saved?.widget === true ? "unknown" : undefined);
}
