// The slots that a node really has: as its file says, completed by its definition and by the links it has.

import type { Level, Link, Node, Slot } from "../../document";
import { levelId, type NodeId } from "../../ids";
import { inputsOf } from "../../inputs";
import type { NodeTypes } from "../../types";
import { spelledBy } from "../shape";
import { portWidgets, type Levels } from "./layouts";
import { outputNames } from "./read_node";

/** The links of a level by their ends. */
export interface Wiring {
  readonly into: ReadonlyMap<NodeId, ReadonlyMap<string, Link>>;
  readonly outOf: ReadonlyMap<NodeId, ReadonlyMap<string, readonly Link[]>>;
}

const WIRED = new WeakMap<Level["links"], Wiring>();

export function wiringOf(level: Level): Wiring {
  const known = WIRED.get(level.links);
  if (known !== undefined) return known;
  const into = new Map<NodeId, Map<string, Link>>();
  const outOf = new Map<NodeId, Map<string, Link[]>>();
  for (const link of level.links.values()) {
    within(into, link.to.node, () => new Map<string, Link>()).set(link.to.slot, link);
    within(within(outOf, link.from.node, () => new Map<string, Link[]>()), link.from.slot, () => []).push(link);
  }
  const wiring = { into, outOf };
  WIRED.set(level.links, wiring);
  return wiring;
}

function within<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

export interface Slots {
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
}

/** What a definition says about the slots of a node, of whose inputs those in `linked` have a link. */
export function declaredSlots(node: Node, levels: Levels, types: NodeTypes, linked?: ReadonlySet<string>): Slots | undefined {
  const ports = levels.get(levelId(node.type))?.definition;
  if (ports !== undefined) {
    const widgets = portWidgets(levels, levelId(node.type), types);
    const inputs = ports.inputs.map(({ name, type }) => ({ name, type, ...(widgets.has(name) ? { widget: true } : {}) }));
    return { inputs, outputs: ports.outputs.map(({ name, type }) => ({ name, type })) };
  }
  const type = types.get(node.type);
  if (type === undefined) return undefined;
  const names = outputNames(type);
  return {
    inputs: inputsOf(type, node.values, linked).map((input) => ({ name: input.name, type: input.type, ...(input.widget === undefined ? {} : { widget: true }) })),
    outputs: type.outputs.map((output, number) => ({ name: names[number] ?? "", type: output.type })),
  };
}

/**
 * The slots of `node` in the order that positions count in. A node of a file has its own; one that was made here has
 * those of its definition. What links name comes after them.
 */
export function slotsOf(level: Level, node: Node, levels: Levels, types: NodeTypes): Slots {
  const { into, outOf } = wiringOf(level);
  const declared = declaredSlots(node, levels, types, new Set(into.get(node.id)?.keys()));
  const isNew = spelledBy(node.rest) === undefined;
  const sockets = declared?.inputs.filter((slot) => slot.widget !== true) ?? [];
  const inputs = node.inputs.length === 0 && isNew ? sockets : node.inputs;
  const outputs = node.outputs.length === 0 && isNew ? (declared?.outputs ?? []) : node.outputs;
  const added = inputsAdded(inputs, into.get(node.id), declared);
  const more = outputsAdded(outputs, outOf.get(node.id), declared);
  return {
    inputs: added.length === 0 ? inputs : [...inputs, ...added],
    outputs: more.length === 0 ? outputs : [...outputs, ...more],
  };
}

function inputsAdded(inputs: readonly Slot[], links: ReadonlyMap<string, Link> | undefined, declared: Slots | undefined): Slot[] {
  const linked = [...(links?.values() ?? [])].filter((link) => !has(inputs, link.to.slot));
  return linked.map((link) => {
    return declared?.inputs.find((slot) => slot.name === link.to.slot) ?? { name: link.to.slot, type: link.type };
  });
}

/** Outputs up to the last one that is linked: the place of an output counts. */
function outputsAdded(outputs: readonly Slot[], links: ReadonlyMap<string, unknown> | undefined, declared: Slots | undefined): Slot[] {
  const wanted = [...(links?.keys() ?? [])].filter((name) => !has(outputs, name));
  const places = wanted.map((name) => declared?.outputs.findIndex((slot) => slot.name === name) ?? -1);
  const last = places.reduce((highest, place) => Math.max(highest, place), -1);
  return declared?.outputs.slice(outputs.length, last + 1).filter((slot) => !has(outputs, slot.name)) ?? [];
}

const has = (slots: readonly Slot[], name: string): boolean => slots.some((slot) => slot.name === name);

/** The number of the output that a link calls `name`; `#3` is what reading calls one without a name. */
export function outputNumber(slots: readonly Slot[], name: string): number {
  const place = slots.findIndex((slot) => slot.name === name);
  if (place >= 0) return place;
  return /^#\d{1,9}$/.test(name) ? Number(name.slice(1)) : 0;
}
