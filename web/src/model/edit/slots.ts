// The slots that a node shows: those of its type, then those that only its file has. Instances show their level's ports.

import type { Document, Level, Node, Port, Slot } from "../document";
import { chosenOf, inputNamed, isDynamic, ownerOf } from "../inputs";
import type { Json } from "../json";
import type { NodeType, NodeTypes, Widget } from "../types";
import { uniqueNames } from "../formats/shape";
import { PRIMITIVE } from "../formats/workflow/layouts";
import { INPUTS, OUTPUTS, levelId, type LevelId, type NodeId } from "../ids";
import { linksFrom } from "./graph";
import { isNamed } from "./named";
import { heldBy } from "./primitive";
import { wiredOf, type Wired, type WiredInput } from "./wired";

export type Side = "input" | "output";

export interface ShownSlot {
  readonly name: string;
  readonly type: string;
  /** What an input may be linked to, where that is more than its type: without its own link it could have another. */
  readonly takes?: string;
  /** A field that no link can feed, since other inputs depend on its value. */
  readonly unlinkable?: true;
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
  /** What matters of the node's links; undefined where none does. */
  readonly wiring: string | undefined;
  readonly slots: Slots;
}
const cache = new WeakMap<Node, Cached>();

/** The slots of `node`; the same object as long as the node, its type, its definition and what matters of its links stay. */
export function slotsOf(document: Document, node: Node, types: NodeTypes): Slots {
  if (node.type === PRIMITIVE) return ofPrimitive(document, node, types);
  const inner = document.levels.get(levelId(node.type));
  const type = inner === undefined && !NOTES.has(node.type) ? types.get(node.type) : undefined;
  const wired = type !== undefined && isDynamic(type) ? wiredOf(document, node, type, types) : undefined;
  return kept(node, inner ?? type, wired?.key, () => {
    return type === undefined ? find(document, node, inner, types) : ofType(node, type, wired ?? wiredOf(document, node, type, types));
  });
}

function ofPrimitive(document: Document, node: Node, types: NodeTypes): Slots {
  const { name, type, widget } = heldBy(document, node, types);
  return kept(node, widget, undefined, () => {
    const field: ShownSlot = { ...plain(name, type, name), unlinkable: true, widget };
    return { inputs: [], widgets: [field], outputs: node.outputs.map(ofSlot) };
  });
}

function kept(node: Node, made: unknown, wiring: string | undefined, make: () => Slots): Slots {
  const known = cache.get(node);
  if (known !== undefined && known.made === made && known.wiring === wiring) return known.slots;
  const slots = make();
  cache.set(node, { made, wiring, slots });
  return slots;
}

function find(document: Document, node: Node, inner: Level | undefined, types: NodeTypes): Slots {
  if (NOTES.has(node.type)) return EMPTY;
  return inner?.definition === undefined ? ofFile(node) : ofInstance(document, inner, types);
}

function ofType(node: Node, type: NodeType, wired: Wired): Slots {
  if (isNamed(node) && node.inputs.length + node.outputs.length > 0) return ofNamed(node, wired);
  const declared = new Set(wired.inputs.map(({ input }) => input.name));
  const others = node.inputs.filter(({ name }) => !declared.has(name) && isShown(node, type, name, wired.linked));
  return sorted([...wired.inputs.map(ofInput), ...others.map(ofSlot)], outputsOf(node, type, wired.outputs));
}

/** Of the slots that a file has besides: not those that another choice brings, or more links, unless nobody knows the choice. */
function isShown(node: Node, type: NodeType, name: string, linked: ReadonlySet<string>): boolean {
  const owner = ownerOf(type, name);
  if (owner === undefined || linked.has(name)) return true;
  return owner.variants !== undefined && chosenOf(owner, node.values) === undefined;
}

const sorted = (inputs: readonly ShownSlot[], outputs: readonly ShownSlot[]): Slots => ({
  inputs: inputs.filter((slot) => slot.widget === undefined),
  widgets: inputs.filter((slot) => slot.widget !== undefined),
  outputs,
});

/** Files call the one value of a Set or Get node after its type. */
function ofNamed(node: Node, wired: Wired): Slots {
  const { inputs, outputs } = ofFile(node);
  return { inputs, outputs, widgets: wired.inputs.map(ofInput).filter((slot) => slot.widget !== undefined) };
}

function ofFile(node: Node): Slots {
  return sorted(node.inputs.map(ofSlot), node.outputs.map(ofSlot));
}

function outputsOf(node: Node, type: NodeType, wired: readonly string[]): ShownSlot[] {
  const names = uniqueNames(type.outputs.map((output) => output.name));
  const known = type.outputs.map((output, place): ShownSlot => {
    const name = names[place] ?? output.name;
    return { ...plain(name, wired[place] ?? output.type, output.name), list: output.isList, ...tip(output.tooltip) };
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

const ofInput = ({ input, type, takes }: WiredInput): ShownSlot => ({
  ...plain(input.name, type, input.label ?? input.name),
  ...(takes === type ? {} : { takes }),
  ...(input.variants === undefined ? {} : { unlinkable: true }),
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
  return sorted(ports, (inner.definition?.outputs ?? []).map(ofPort));
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
    const input = inputNamed(types.get(target.type), link.to.slot, target.values);
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
  return side === "output" ? slots.outputs : [...slots.inputs, ...slots.widgets].filter((slot) => slot.unlinkable !== true);
}

export const slotAt = (
  document: Document,
  level: Level,
  end: { readonly node: NodeId; readonly slot: string },
  side: Side,
  types: NodeTypes,
): ShownSlot | undefined => slotsAt(document, level, end.node, side, types).find(({ name }) => name === end.slot);
