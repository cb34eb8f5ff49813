// The slots that a node shows: those of its type, then those that only its file has. Instances show their level's ports.

import type { Document, Level, Node, Port, Slot } from "../document";
import type { Json } from "../json";
import type { InputType, NodeType, NodeTypes, Widget } from "../types";
import { uniqueNames } from "../formats/shape";
import { INPUTS, OUTPUTS, levelId, type LevelId, type NodeId } from "../ids";
import { linksFrom } from "./graph";
import { isNamed } from "./named";

export type Side = "input" | "output";

export interface ShownSlot {
  readonly name: string;
  readonly type: string;
  readonly label: string;
  readonly required: boolean;
  /** The slot carries a list of values. */
  readonly list: boolean;
  readonly advanced: boolean;
  readonly tooltip?: string;
  /** The input has a field of its own; unknown types may have one that nobody can describe. */
  readonly widget?: Widget | "unknown";
}

export interface Slots {
  /** Inputs that only a link can feed. */
  readonly inputs: readonly ShownSlot[];
  /** Inputs that have a field; a link may feed them too. */
  readonly widgets: readonly ShownSlot[];
  readonly outputs: readonly ShownSlot[];
}

export const NOTES: ReadonlySet<string> = new Set(["Note", "MarkdownNote"]);
const EMPTY: Slots = { inputs: [], widgets: [], outputs: [] };

interface Cached {
  readonly made: unknown;
  readonly slots: Slots;
}
const cache = new WeakMap<Node, Cached>();

/** The slots of `node`; the same object as long as the node, its type and its definition stay. */
export function slotsOf(document: Document, node: Node, types: NodeTypes): Slots {
  const inner = document.levels.get(levelId(node.type));
  const made = inner ?? types.get(node.type);
  const known = cache.get(node);
  if (known !== undefined && known.made === made) return known.slots;
  const slots = find(document, node, inner, types);
  cache.set(node, { made, slots });
  return slots;
}

function find(document: Document, node: Node, inner: Level | undefined, types: NodeTypes): Slots {
  if (NOTES.has(node.type)) return EMPTY;
  if (inner?.definition !== undefined) return ofInstance(document, inner, types);
  const type = types.get(node.type);
  if (type === undefined) return ofFile(node);
  if (isNamed(node) && node.inputs.length + node.outputs.length > 0) return ofNamed(node, type);
  const shown = type.inputs.map(ofInput);
  const extra = node.inputs.filter((slot) => !type.inputs.some((input) => input.name === slot.name)).map(ofSlot);
  const all = [...shown, ...extra];
  return { inputs: all.filter((slot) => slot.widget === undefined), widgets: all.filter((slot) => slot.widget !== undefined), outputs: outputsOf(node, type) };
}

/** Files call the one value of a Set or Get node after its type. */
function ofNamed(node: Node, type: NodeType): Slots {
  const { inputs, outputs } = ofFile(node);
  return { inputs, outputs, widgets: type.inputs.map(ofInput).filter((slot) => slot.widget !== undefined) };
}

function ofFile(node: Node): Slots {
  const inputs = node.inputs.map(ofSlot);
  return {
    inputs: inputs.filter((slot) => slot.widget === undefined),
    widgets: inputs.filter((slot) => slot.widget !== undefined),
    outputs: node.outputs.map(ofSlot),
  };
}

function outputsOf(node: Node, type: NodeType): ShownSlot[] {
  const names = uniqueNames(type.outputs.map((output) => output.name));
  const known = type.outputs.map((output, place): ShownSlot => {
    const name = names[place] ?? output.name;
    return { ...plain(name, output.type, output.name), list: output.isList, ...tip(output.tooltip) };
  });
  return [...known, ...node.outputs.filter((slot) => !names.includes(slot.name)).map(ofSlot)];
}

const tip = (tooltip: string | undefined): { tooltip?: string } => (tooltip === undefined ? {} : { tooltip });

const plain = (name: string, type: string, label: string): ShownSlot => ({
  name,
  type,
  label,
  required: false,
  list: false,
  advanced: false,
});

const ofSlot = (slot: Slot): ShownSlot => ({
  ...plain(slot.name, slot.type, slot.label ?? slot.name),
  ...(slot.widget === true ? { widget: "unknown" as const } : {}),
});

const ofInput = (input: InputType): ShownSlot => ({
  ...plain(input.name, input.type, input.name),
  required: input.required,
  advanced: input.advanced,
  ...tip(input.tooltip),
  ...(input.widget === undefined ? {} : { widget: input.widget }),
});

function ofInstance(document: Document, inner: Level, types: NodeTypes): Slots {
  const ports = (inner.definition?.inputs ?? []).map((port): ShownSlot => {
    const widget = portWidget(document, inner, port.name, types);
    return { ...ofPort(port), ...(widget === undefined ? {} : { widget }) };
  });
  return {
    inputs: ports.filter((slot) => slot.widget === undefined),
    widgets: ports.filter((slot) => slot.widget !== undefined),
    outputs: (inner.definition?.outputs ?? []).map(ofPort),
  };
}

const ofPort = (port: Port): ShownSlot => plain(port.name, port.type, port.label ?? port.name);

/**
 * The field that an input of a subgraph stands for: that of the first inner input it feeds. What the inner node holds is
 * what an instance without a value of its own runs with, so it is the field's default.
 */
export function portWidget(
  document: Document,
  inner: Level,
  port: string,
  types: NodeTypes,
  seen: ReadonlySet<LevelId> = new Set(),
): Widget | "unknown" | undefined {
  if (seen.has(inner.id)) return undefined;
  for (const link of linksFrom(inner, { node: INPUTS, slot: port })) {
    const target = inner.nodes.get(link.to.node);
    if (target === undefined) continue;
    const nested = document.levels.get(levelId(target.type));
    if (nested?.definition !== undefined) {
      const found = portWidget(document, nested, link.to.slot, types, new Set([...seen, inner.id]));
      if (found !== undefined) return startingAt(found, target.values[link.to.slot]);
      continue;
    }
    const input = types.get(target.type)?.inputs.find(({ name }) => name === link.to.slot);
    if (input?.widget !== undefined) return startingAt(input.widget, target.values[input.name]);
  }
  return undefined;
}

const startingAt = (widget: Widget | "unknown", value: Json | undefined): Widget | "unknown" =>
  widget === "unknown" || value === undefined || value === null || value === widget.default ? widget : ({ ...widget, default: value } as Widget);

/** What may be linked at `node` on one side; the ends of a subgraph count as nodes: its inputs give, its outputs take. */
export function slotsAt(document: Document, level: Level, id: NodeId, side: Side, types: NodeTypes): readonly ShownSlot[] {
  if (id === INPUTS) return side === "output" ? (level.definition?.inputs ?? []).map(ofPort) : [];
  if (id === OUTPUTS) return side === "input" ? (level.definition?.outputs ?? []).map(ofPort) : [];
  const node = level.nodes.get(id);
  if (node === undefined) return [];
  const slots = slotsOf(document, node, types);
  return side === "output" ? slots.outputs : [...slots.inputs, ...slots.widgets];
}

export const slotAt = (
  document: Document,
  level: Level,
  end: { readonly node: NodeId; readonly slot: string },
  side: Side,
  types: NodeTypes,
): ShownSlot | undefined => slotsAt(document, level, end.node, side, types).find(({ name }) => name === end.slot);
