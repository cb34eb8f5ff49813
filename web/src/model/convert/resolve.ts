// Where a link really comes from: through reroutes, bypassed nodes and the borders of subgraphs.

import type { Document, Link, Node, Slot } from "../document";
import { INPUTS, OUTPUTS, type NodeId } from "../ids";
import type { Json } from "../json";
import { saidName } from "../formats/shape";
import { GET, NOTES, PRIMITIVE, REROUTE, SET } from "../formats/workflow/layouts";
import { nameOf } from "../edit/named";
import { declaredSlots, outputNumber, slotsOf, wiringOf, type Slots } from "../formats/workflow/slots";
import { fits, type NodeTypes } from "../types";
import { serverId, type Scope } from "./scopes";

export type Source =
  | { readonly kind: "link"; readonly node: string; readonly output: number }
  | { readonly kind: "value"; readonly value: Json }
  /** The link starts nowhere: a widget keeps its own value. */
  | { readonly kind: "unlinked" }
  /** Its source is muted or missing: the input is dropped, so that the server reports it. */
  | { readonly kind: "gone" };

const UNLINKED: Source = { kind: "unlinked" };
const GONE: Source = { kind: "gone" };

interface Position {
  readonly scope: Scope;
  readonly link: Link;
}

type Step = Source | Position;

const isPosition = (step: Step): step is Position => "link" in step;

/** Follows links and remembers what it found: any number of links into one long chain cost one walk. */
export class Resolver {
  private readonly found = new Map<Scope, Map<string, Source>>();

  constructor(
    private readonly document: Document,
    private readonly types: NodeTypes,
    private readonly primitiveValue: (scope: Scope, node: Node) => Json,
  ) {}

  /** What feeds `slot` of a node in `scope`: a node that runs, a value, or nothing. */
  source(scope: Scope, node: NodeId, slot: Slot): Source {
    let step = into(scope, node, slot.name);
    const walked: { readonly key: string; readonly memory: Map<string, Source>; readonly own: Source }[] = [];
    while (isPosition(step)) {
      const memory = this.memoryOf(step.scope);
      const key = JSON.stringify([step.link.from.node, step.link.from.slot, slot.type]);
      const before = memory.get(key);
      if (before !== undefined) {
        step = before;
        break;
      }
      memory.set(key, UNLINKED); // what a walk in a circle comes back to
      walked.push({ key, memory, own: ownValue(step) });
      step = this.upstream(step.scope, step.link, slot.type);
    }
    for (const { key, memory, own } of walked.reverse()) {
      if (step.kind === "unlinked") step = own;
      memory.set(key, step);
    }
    return step;
  }

  slots(scope: Scope, node: Node): Slots {
    return slotsOf(scope.level, node, this.document.levels, this.types);
  }

  private memoryOf(scope: Scope): Map<string, Source> {
    let memory = this.found.get(scope);
    if (memory === undefined) this.found.set(scope, (memory = new Map()));
    return memory;
  }

  private upstream(scope: Scope, link: Link, wanted: string): Step {
    const { from } = link;
    if (from.node === INPUTS && scope.level.definition !== undefined) return outside(scope, from.slot);
    const node = scope.level.nodes.get(from.node);
    if (node === undefined) return GONE;
    if (node.type === PRIMITIVE) {
      const value = this.primitiveValue(scope, node);
      return value === null ? UNLINKED : { kind: "value", value };
    }
    if (node.mode === "mute" || NOTES.has(node.type)) return GONE;
    if (node.mode === "bypass") return intoSlot(scope, node, this.standIn(scope, node, from.slot, wanted));
    if (node.type === GET) return this.kept(scope, node);
    if (node.type === REROUTE || node.type === SET) return intoSlot(scope, node, this.slots(scope, node).inputs[0]);
    const child = scope.children.get(node.id);
    if (child !== undefined) return this.inside(child, scope, node, from.slot);
    return { kind: "link", node: serverId(scope, node.id), output: this.numberOf(scope, node, from.slot) };
  }

  /** Into the first SetNode of the name that a GetNode asks for, in its level or else in the levels around it. */
  private kept(scope: Scope, getter: Node): Step {
    const name = nameOf(getter) ?? "";
    for (let around: Scope | undefined = scope; around !== undefined && name !== ""; around = around.parent) {
      for (const node of around.level.nodes.values()) {
        if (node.type !== SET || nameOf(node) !== name) continue;
        return node.mode === "mute" ? GONE : intoSlot(around, node, this.slots(around, node).inputs[0]);
      }
    }
    return GONE;
  }

  /** By the definition's names, else by the place that the file has it at. */
  private numberOf(scope: Scope, node: Node, name: string): number {
    const declared = declaredSlots(node, this.document.levels, this.types)?.outputs ?? [];
    const place = declared.findIndex((slot) => slot.name === name);
    return place >= 0 ? place : outputNumber(this.slots(scope, node).outputs, name);
  }

  /** From an output of an instance to what feeds it inside. */
  private inside(inner: Scope, scope: Scope, instance: Node, name: string): Step {
    const ports = inner.level.definition?.outputs ?? [];
    const { outputs } = this.slots(scope, instance);
    const slot = outputs.find((item) => item.name === name);
    const said = slot === undefined ? name : saidName(slot);
    const port = ports.find((item) => item.name === said) ?? ports[outputNumber(outputs, name)];
    return port === undefined ? UNLINKED : into(inner, OUTPUTS, port.name);
  }

  /** The input that stands in for an output of a bypassed node, for a target of type `wanted`. */
  private standIn(scope: Scope, node: Node, output: string, wanted: string): Slot | undefined {
    const { inputs, outputs } = this.slots(scope, node);
    const number = outputNumber(outputs, output);
    const opposite = inputs[number];
    if (isAny(wanted)) return opposite ?? inputs[0];
    const given = outputs[number]?.type ?? "*";
    const fitting = inputs.filter((slot) => fits(slot.type, given) && fits(slot.type, wanted));
    if (opposite !== undefined && fitting.includes(opposite)) return opposite;
    return inputs.find((slot) => slot.type === wanted) ?? fitting[0];
  }
}

const isAny = (type: string): boolean => {
  const parts = type.split(",").map((part) => part.trim());
  return parts.includes("*") || parts.every((part) => part === "");
};

function into(scope: Scope, node: NodeId, slot: string): Step {
  const link = wiringOf(scope.level).into.get(node)?.get(slot);
  return link === undefined ? UNLINKED : { scope, link };
}

const intoSlot = (scope: Scope, node: Node, slot: Slot | undefined): Step =>
  slot === undefined ? UNLINKED : into(scope, node.id, slot.name);

/** The value that the instance around holds for an input; it counts if nothing further out is linked. */
function ownValue({ scope, link }: Position): Source {
  const value = link.from.node === INPUTS ? scope.promoted.get(link.from.slot) : undefined;
  return value === undefined ? UNLINKED : { kind: "value", value };
}

/** From an input of a subgraph to the link that its instance has there. */
function outside(scope: Scope, port: string): Step {
  if (scope.parent === undefined || scope.instance === undefined) return UNLINKED;
  return into(scope.parent, scope.instance.id, port);
}
