// What of a node's inputs and outputs follows from its values and links: which inputs there are, and the types that match.

import type { Document, Level, Node } from "../document";
import { inputsOf, isDynamic } from "../inputs";
import type { InputType, NodeType, NodeTypes } from "../types";
import { linksAround } from "./graph";
import { Matching } from "./matched";

export interface WiredInput {
  readonly input: InputType;
  readonly type: string;
  /** The type that it could have without its own link. */
  readonly takes: string;
}

export interface Wired {
  readonly inputs: readonly WiredInput[];
  /** The types of the outputs. */
  readonly outputs: readonly string[];
  readonly linked: ReadonlySet<string>;
  /** Equal for two states of the links that make no difference to the node; undefined if none ever does. */
  readonly key: string | undefined;
}

/** The inputs and output types of a node of `type`. */
export function wiredOf(document: Document, node: Node, type: NodeType, types: NodeTypes): Wired {
  const level = isDynamic(type) ? levelWith(document, node) : undefined;
  const linked = new Set(level === undefined ? [] : linksAround(level, node.id).into.map((link) => link.to.slot));
  const matching = level === undefined ? undefined : new Matching(document, level, types);
  const matched = (slot: { readonly type: string; readonly match?: string }, except?: string): string =>
    matching === undefined || slot.match === undefined ? slot.type : matching.typeOf(node, type, slot, except);
  const inputs = inputsOf(type, node.values, linked).map((input) => ({ input, type: matched(input), takes: matched(input, input.name) }));
  const outputs = type.outputs.map((output) => matched(output));
  const key = level === undefined ? undefined : [...linked, ...inputs.map((one) => `${one.type} ${one.takes}`), ...outputs].join("\n");
  return { inputs, outputs, linked, key };
}

/** The level that a node stands in; one that was made just now stands in none. */
function levelWith(document: Document, node: Node): Level | undefined {
  for (const level of document.levels.values()) if (level.nodes.get(node.id) === node) return level;
  return undefined;
}
