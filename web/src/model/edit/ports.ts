// The inputs and outputs of a subgraph: adding, naming, ordering, removing them; promoting widgets to the instances.

import type { Change } from "../changes";
import type { Definition, Document, End, Level, Node, Port } from "../document";
import type { NodeId } from "../ids";
import type { Json } from "../json";
import type { NodeTypes, Widget } from "../types";
import type { Side } from "./slots";
import { all } from "../changes";
import { INPUTS, OUTPUTS } from "../ids";
import { freeIds, freeName } from "./free";
import { linksAround, linksFrom, linkTo } from "./graph";
import { disconnect } from "./links";
import { patchNode } from "./nodes";
import { omit } from "./omit";
import { instancesOf } from "./subgraph";
import { slotAt } from "./slots";

const listOf = (definition: Definition, side: Side): readonly Port[] => (side === "input" ? definition.inputs : definition.outputs);

const define = (level: Level, definition: Definition, side: Side, ports: readonly Port[]): Change => ({
  kind: "define-level",
  id: level.id,
  definition: { ...definition, [side === "input" ? "inputs" : "outputs"]: ports },
});

/** Make a port of a slot inside and link the two. An output's port takes the place of nothing: several may show one slot. */
export function addPort(document: Document, level: Level, end: End, side: Side, id: string, types: NodeTypes): { change: Change; port: Port } | undefined {
  const definition = level.definition;
  const slot = slotAt(document, level, end, side, types);
  if (definition === undefined || slot === undefined) return undefined;
  const ports = listOf(definition, side);
  const name = freeName(slot.label || slot.type.toLowerCase(), new Set(ports.map((port) => port.name)));
  const port: Port = { id, name, type: slot.type };
  const old = side === "input" ? linkTo(level, end) : undefined;
  const link = freeIds(document, level).link();
  const [from, to] = side === "input" ? [{ node: INPUTS, slot: name }, end] : [end, { node: OUTPUTS, slot: name }];
  const change = all(
    ...(old === undefined ? [] : disconnect(level, [old.id])),
    define(level, definition, side, [...ports, port]),
    { kind: "add-link", level: level.id, link: { id: link, from, to, type: slot.type } },
    ...instancesOf(document, level.id).map(({ level: outer, node }) => withSlot(outer, node, side, port)),
    ...(side === "input" && slot.widget !== undefined && old === undefined ? handOver(document, level, end, port, slot.widget) : []),
  );
  return { change, port };
}

/** Each instance owns the value of a field that it shows; it starts as the inner one. */
function handOver(document: Document, level: Level, { node, slot }: End, port: Port, widget: Widget | "unknown"): Change[] {
  const inner = level.nodes.get(node);
  const value = inner?.values[slot] ?? defaultOf(widget);
  const control = inner?.control[slot];
  return instancesOf(document, level.id).map(({ level: outer, node: each }) =>
    patchNode(outer, each.id, {
      ...(value === undefined ? {} : { values: { ...each.values, [port.name]: value } }),
      ...(control === undefined ? {} : { control: { ...each.control, [port.name]: control } }),
    }),
  );
}

function withSlot(outer: Level, node: Node, side: Side, port: Port): Change {
  const slot = { name: port.name, type: port.type };
  return patchNode(outer, node.id, side === "input" ? { inputs: [...node.inputs, slot] } : { outputs: [...node.outputs, slot] });
}

/** What people read at a port; an empty text shows its name again. The name stays, since links go by it. */
export function labelPort(level: Level, side: Side, name: string, label: string): Change | undefined {
  if (level.definition === undefined) return undefined;
  const ports = listOf(level.definition, side).map((port): Port => {
    if (port.name !== name) return port;
    const bare = omit(port, "label");
    return label.trim() === "" || label.trim() === name ? bare : { ...bare, label: label.trim() };
  });
  return define(level, level.definition, side, ports);
}

/** Move a port up (-1) or down (1) by places. */
export function movePort(level: Level, side: Side, name: string, by: number): Change | undefined {
  if (level.definition === undefined) return undefined;
  const ports = [...listOf(level.definition, side)];
  const place = ports.findIndex((port) => port.name === name);
  const to = Math.min(ports.length - 1, Math.max(0, place + by));
  const [port] = place < 0 ? [] : ports.splice(place, 1);
  if (port === undefined || to === place) return undefined;
  ports.splice(to, 0, port);
  return define(level, level.definition, side, ports);
}

/** Take a port away, with the links to it inside and at every instance. */
export function removePort(document: Document, level: Level, side: Side, name: string): Change | undefined {
  const definition = level.definition;
  const ports = definition === undefined ? [] : listOf(definition, side);
  if (definition === undefined || !ports.some((port) => port.name === name)) return undefined;
  const end = { node: side === "input" ? INPUTS : OUTPUTS, slot: name };
  const inside = side === "input" ? linksFrom(level, end) : linksAround(level, OUTPUTS).into.filter((link) => link.to.slot === name);
  return all(
    ...disconnect(level, inside.map((link) => link.id)),
    ...instancesOf(document, level.id).flatMap(({ level: outer, node }) => withoutSlot(outer, node, side, name)),
    define(level, definition, side, ports.filter((port) => port.name !== name)),
  );
}

function withoutSlot(outer: Level, node: Node, side: Side, name: string): Change[] {
  const around = linksAround(outer, node.id);
  const links = side === "input" ? around.into.filter((link) => link.to.slot === name) : around.outOf.filter((link) => link.from.slot === name);
  const others = <T extends { readonly name: string }>(slots: readonly T[]): T[] => slots.filter((slot) => slot.name !== name);
  const values = Object.fromEntries(Object.entries(node.values).filter(([key]) => key !== name));
  const patch = side === "input" ? { inputs: others(node.inputs), values } : { outputs: others(node.outputs) };
  return [...disconnect(outer, links.map((link) => link.id)), patchNode(outer, node.id, patch)];
}

/** Show a widget of an inner node at the instances. */
export function promote(document: Document, level: Level, node: NodeId, input: string, id: string, types: NodeTypes): Change | undefined {
  if (linkTo(level, { node, slot: input }) !== undefined) return undefined;
  const slot = slotAt(document, level, { node, slot: input }, "input", types);
  return slot?.widget === undefined ? undefined : addPort(document, level, { node, slot: input }, "input", id, types)?.change;
}

const defaultOf = (widget: "unknown" | { readonly default: Json } | undefined): Json | undefined =>
  widget === undefined || widget === "unknown" ? undefined : widget.default;

/** Take a promoted widget back; the inner node gets the value of the only instance. */
export function demote(document: Document, level: Level, node: NodeId, input: string): Change | undefined {
  const link = linkTo(level, { node, slot: input });
  const inner = level.nodes.get(node);
  if (inner === undefined || link?.from.node !== INPUTS) return undefined;
  const shared = linksFrom(level, link.from).length > 1;
  if (shared) return all(...disconnect(level, [link.id]));
  const [only, ...others] = instancesOf(document, level.id);
  const value = others.length === 0 ? only?.node.values[link.from.slot] : undefined;
  const removal = removePort(document, level, "input", link.from.slot);
  if (removal === undefined) return undefined;
  return value === undefined ? removal : all(removal, patchNode(level, node, { values: { ...inner.values, [input]: value } }));
}

/** Whether the instances show a field of an inner node. */
export const isPromoted = (level: Level, node: NodeId, input: string): boolean => linkTo(level, { node, slot: input })?.from.node === INPUTS;

/** Show a field of an inner node at the instances, or take it back; undefined if something else is linked to it. */
export const togglePromoted = (document: Document, level: Level, node: NodeId, input: string, id: string, types: NodeTypes): Change | undefined =>
  isPromoted(level, node, input) ? demote(document, level, node, input) : promote(document, level, node, input, id, types);
