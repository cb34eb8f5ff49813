// Inputs and outputs of a node that have one type at run time: which it is, as far as links say.

import type { Document, End, Level, Node } from "../document";
import { uniqueNames } from "../formats/shape";
import { INPUTS, levelId } from "../ids";
import { inputNamed } from "../inputs";
import type { NodeType, NodeTypes } from "../types";
import { linksAround } from "./graph";

/** So far links are followed back; beyond, any type will do. */
const MAX_STEPS = 64;

interface Matched {
  /** What any of them may have. */
  readonly type: string;
  readonly match?: string;
}

/** Finds the types in one level. It remembers what it found, so it is good for one state of the document. */
export class Matching {
  private readonly found = new Map<string, string>();

  constructor(
    private readonly document: Document,
    private readonly level: Level,
    private readonly types: NodeTypes,
  ) {}

  /** The type that `slot` of a node has by what is linked to the inputs of its match, save to the input `except`. */
  typeOf(node: Node, type: NodeType, slot: Matched, except?: string, steps = 0): string {
    let known = slot.type;
    for (const link of linksAround(this.level, node.id).into) {
      if (link.to.slot === except || inputNamed(type, link.to.slot, node.values)?.match !== slot.match) continue;
      known = common(known, this.given(link.from, steps + 1)) ?? known;
    }
    return known;
  }

  private given(end: End, steps: number): string {
    const key = `${end.node}\n${end.slot}`;
    const before = this.found.get(key);
    if (before !== undefined) return before;
    this.found.set(key, "*"); // what a walk in a circle comes back to
    const type = steps > MAX_STEPS ? "*" : this.outputType(end, steps);
    this.found.set(key, type);
    return type;
  }

  private outputType(end: End, steps: number): string {
    if (end.node === INPUTS) return typeAt(this.level.definition?.inputs, end.slot);
    const node = this.level.nodes.get(end.node);
    if (node === undefined) return "*";
    const inner = this.document.levels.get(levelId(node.type))?.definition;
    const type = inner === undefined ? this.types.get(node.type) : undefined;
    if (type === undefined) return typeAt(inner?.outputs ?? node.outputs, end.slot);
    const output = type.outputs[uniqueNames(type.outputs.map(({ name }) => name)).indexOf(end.slot)];
    if (output?.match === undefined) return output?.type ?? "*";
    return this.typeOf(node, type, output, undefined, steps);
  }
}

const typeAt = (slots: readonly { readonly name: string; readonly type: string }[] | undefined, name: string): string =>
  slots?.find((slot) => slot.name === name)?.type ?? "*";

/** What fits both types, undefined if nothing does. */
function common(left: string, right: string): string | undefined {
  const [one, two] = [left, right].map((type) => type.split(",").map((part) => part.trim()));
  if (two?.includes("*") === true) return left;
  if (one?.includes("*") === true) return right;
  const both = one?.filter((part) => two?.includes(part)) ?? [];
  return both.length === 0 ? undefined : both.join(",");
}
