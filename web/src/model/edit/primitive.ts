// The editor's node that holds one value for others: its field is that of the first input that it feeds.

import type { Document, Link, Node } from "../document";
import { portWidgets, VALUE } from "../formats/workflow/layouts";
import { inputNamed } from "../inputs";
import { levelId } from "../ids";
import type { Json } from "../json";
import type { NodeTypes, Widget } from "../types";
import { linksAround } from "./graph";

const OTHER: Widget = { kind: "other", default: null };
/** Where it feeds nothing yet, or nothing that is known: by the type that its output has in the file. */
const BY_TYPE: Readonly<Record<string, Widget>> = {
  INT: { kind: "int", default: 0, min: -(2n ** 63n), max: 2n ** 64n - 1n, step: 1, controlled: true },
  FLOAT: { kind: "float", default: 0, min: -Infinity, max: Infinity, step: 0.01 },
  STRING: { kind: "text", default: "", multiline: false, dynamicPrompts: false },
  BOOLEAN: { kind: "switch", default: false },
};

export interface Held {
  readonly name: typeof VALUE;
  readonly type: string;
  readonly widget: Widget;
}

/** The field of a PrimitiveNode; its widget is the same object as long as what it feeds is of the same type. */
export function heldBy(document: Document, node: Node, types: NodeTypes): Held {
  const level = [...document.levels.values()].find((each) => each.nodes.get(node.id) === node);
  const fed = (link: Link): Widget | undefined => {
    const target = level?.nodes.get(link.to.node);
    if (target === undefined) return undefined;
    const input = portWidgets(document.levels, levelId(target.type), types).get(link.to.slot);
    if (input !== undefined) return input === "unknown" ? undefined : input.widget;
    return inputNamed(types.get(target.type), link.to.slot, target.values)?.widget;
  };
  const type = node.outputs[0]?.type ?? "*";
  for (const link of level === undefined ? [] : linksAround(level, node.id).outOf) {
    const widget = fed(link);
    if (widget !== undefined) return { name: VALUE, type, widget };
  }
  return { name: VALUE, type, widget: BY_TYPE[type] ?? OTHER };
}

/** What a PrimitiveNode holds. */
export const valueHeld = (node: Node): Json | undefined => node.values[VALUE];
