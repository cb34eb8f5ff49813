// A document as the prompt (API format) that it stands for. The document is only read.

import type { Document, Node, Slot } from "../document";
import type { LevelId, NodeId } from "../ids";
import { isArray, isObject, writeJson, type Json, type JsonObject } from "../json";
import { saidName } from "../formats/shape";
import { VIRTUAL } from "../formats/workflow/layouts";
import type { InputType, NodeTypes } from "../types";
import { ConvertError } from "./errors";
import { withAncestors } from "./partial";
import { Resolver, type Source } from "./resolve";
import { openUp, serverId, type Scope } from "./scopes";
import { expandPrompt, fillPlaceholders, type Random } from "./text";
import { valuesOf } from "./values";

export interface PromptOptions {
  /** The dice of `{a|b}`. */
  readonly random?: Random;
  readonly now?: Date;
  /** Server ids of the outputs to run; what they do not need is left out. Absent: everything. */
  readonly targets?: Iterable<string>;
}

/** Where a node of the server is in the document. */
export interface Origin {
  /** The levels from the root to the node's. */
  readonly path: readonly LevelId[];
  /** The instances between those levels. */
  readonly instances: readonly NodeId[];
  readonly node: NodeId;
}

export interface Prompt {
  /** By server id. JavaScript lists numeric keys by size: `order` has the order of the document. */
  readonly prompt: JsonObject;
  readonly order: readonly string[];
  /** By server id, also of nodes that are not sent: instances, notes, muted ones. */
  readonly origins: ReadonlyMap<string, Origin>;
}

const PREFIX = "filename_prefix";
const REPLACE_IN_PRIMITIVE = "Run widget replace on values";
const NAME_IN_TEXTS = "Node name for S&R";

/**
 * The prompt of `document`: subgraphs opened up, notes, reroutes, muted and bypassed nodes gone. A node of a type that
 * `types` does not have keeps what the file names, so that the server can report it. Raises ConvertError.
 */
export function toPrompt(document: Document, types: NodeTypes, options: PromptOptions = {}): Prompt {
  const { nodes, all } = openUp(document, types);
  const conversion = new Conversion(document, types, options.random ?? Math.random, options.now ?? new Date());
  const converted = new Map<string, JsonObject>();
  for (const { scope, node } of nodes) {
    if (VIRTUAL.has(node.type) || node.mode !== "normal") continue;
    const id = serverId(scope, node.id);
    if (converted.has(id)) {
      const message = `two nodes have the id ${id} once subgraphs are opened up`;
      throw new ConvertError("same-id", message, "Copy one of them and delete the original.");
    }
    converted.set(id, conversion.node(scope, node));
  }
  const chosen = options.targets === undefined ? converted : withAncestors(converted, options.targets);
  const origins = all.map(({ scope, node }): [string, Origin] => {
    return [serverId(scope, node.id), { path: scope.path, instances: scope.instances, node: node.id }];
  });
  return { prompt: Object.fromEntries(chosen), order: [...chosen.keys()], origins: new Map(origins) };
}

/** The JSON text of a prompt, its nodes in the order of the document. */
export function writePrompt({ prompt, order }: Pick<Prompt, "prompt" | "order">, indent = 2): string {
  if (order.length === 0) return "{}";
  const [line, step, colon] = indent > 0 ? ["\n", " ".repeat(indent), ": "] : ["", "", ":"];
  const nodes = order.map((id) => {
    const text = writeJson(prompt[id] ?? null, indent);
    return `${step}${JSON.stringify(id)}${colon}${indent > 0 ? text.replaceAll("\n", `\n${step}`) : text}`;
  });
  return `{${line}${nodes.join(`,${line}`)}${line}}`;
}

/** One conversion: the node types, the dice, the clock, and the links followed so far. */
class Conversion {
  private readonly resolver: Resolver;
  private readonly names = new Map<Scope, Map<string, Node>>();

  constructor(
    private readonly document: Document,
    private readonly types: NodeTypes,
    private readonly random: Random,
    private readonly now: Date,
  ) {
    this.resolver = new Resolver(document, types, (scope, node) => this.primitiveValue(scope, node));
  }

  /** `node` with the values of its widgets, then with what its links bring. */
  node(scope: Scope, node: Node): JsonObject {
    const inputs = this.types.get(node.type)?.inputs ?? [];
    const declared = new Map(inputs.map((input) => [input.name, input]));
    const given = new Map<string, Source>();
    for (const [name, value] of valuesOf(node, this.document, this.types)) given.set(name, { kind: "value", value });
    for (const slot of this.resolver.slots(scope, node).inputs) {
      const source = this.resolver.source(scope, node.id, slot);
      const name = saidName(slot);
      if (source.kind === "gone") given.delete(name);
      else if (source.kind === "link") given.set(name, source);
      else if (source.kind === "value" && takesValue(slot, declared.get(name))) given.set(name, source);
    }
    const names = new Set([...[...declared.keys()].filter((name) => given.has(name)), ...given.keys()]);
    const sent = [...names].flatMap((name): [string, Json][] => {
      const source = given.get(name);
      return source === undefined ? [] : [[name, this.sent(scope, source, name, declared.get(name))]];
    });
    const data = { class_type: node.type, inputs: Object.fromEntries(sent) };
    return node.title === undefined ? data : { ...data, _meta: { title: node.title } };
  }

  /** An input as it is sent: texts change on their way, lists are wrapped because a list of two is a link. */
  private sent(scope: Scope, source: Source, name: string, declared: InputType | undefined): Json {
    if (source.kind === "link") return [source.node, source.output];
    const value = source.kind === "value" ? source.value : null;
    if (isArray(value) || (isObject(value) && Object.hasOwn(value, "__value__"))) return { __value__: value };
    if (typeof value !== "string") return value;
    if (name === PREFIX) return fillPlaceholders(value, this.now, (node, widget) => this.valueOf(scope, node, widget, true));
    const isDynamic = declared?.widget?.kind === "text" && declared.widget.dynamicPrompts;
    return isDynamic ? expandPrompt(value, this.random) : value;
  }

  /**
   * The value of a widget of the node that texts call `name`, in this level or the ones around it. With `linked` the
   * value that is sent in its place, if a link brings one; primitives must not ask for that, two could wait for each other.
   */
  private valueOf(from: Scope, name: string, widget: string, linked: boolean): Json {
    for (let scope: Scope | undefined = from; scope !== undefined; scope = scope.parent) {
      const node = this.named(scope).get(name);
      if (node === undefined) continue;
      const slots = linked ? this.resolver.slots(scope, node).inputs.filter((item) => saidName(item) === widget) : [];
      for (const slot of slots) {
        const source = this.resolver.source(scope, node.id, slot);
        if (source.kind === "value") return source.value;
      }
      return valuesOf(node, this.document, this.types).get(widget) ?? null;
    }
    return null;
  }

  /** The nodes of a level by the name that texts use; that name wins over a title, the first node over others. */
  private named(scope: Scope): Map<string, Node> {
    const known = this.names.get(scope);
    if (known !== undefined) return known;
    const nodes = [...scope.level.nodes.values()].reverse();
    const names = new Map<string, Node>();
    for (const node of nodes) if (node.title !== undefined) names.set(node.title, node);
    for (const node of nodes) {
      const name = node.properties[NAME_IN_TEXTS];
      if (typeof name === "string") names.set(name, node);
    }
    this.names.set(scope, names);
    return names;
  }

  private primitiveValue(scope: Scope, node: Node): Json {
    const value = node.values["value"] ?? null;
    if (typeof value !== "string" || !Boolean(node.properties[REPLACE_IN_PRIMITIVE] ?? false)) return value;
    return fillPlaceholders(value, this.now, (name, widget) => this.valueOf(scope, name, widget, false));
  }
}

const takesValue = (slot: Slot, declared: InputType | undefined): boolean =>
  declared === undefined ? slot.widget === true : declared.widget !== undefined;
