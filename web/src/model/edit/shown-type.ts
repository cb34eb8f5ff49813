// The type by which a node's fields are drawn. A node of no type of the server (an instance of a subgraph, a primitive) has
// one made of its slots, so that its fields are like any others.

import type { Node } from "../document";
import type { InputType, NodeType, NodeTypes } from "../types";
import type { ShownSlot, Slots } from "./slots";

const made = new WeakMap<Slots, NodeType>();

const asInput = (slot: ShownSlot): InputType[] =>
  slot.widget === undefined || slot.widget === "unknown"
    ? []
    : [{ name: slot.name, type: slot.type, required: slot.required, advanced: false, lazy: false, options: { display_name: slot.label }, widget: slot.widget }];

/** The type of `node`, which has these slots; the same object as long as they are. */
export function shownType(node: Node, slots: Slots, types: NodeTypes): NodeType {
  const known = types.get(node.type) ?? made.get(slots);
  if (known !== undefined) return known;
  const type: NodeType = {
    name: node.type,
    title: node.title ?? node.type,
    description: "",
    category: "",
    pack: "",
    inputs: slots.widgets.flatMap(asInput),
    outputs: [],
    isOutput: false,
    deprecated: false,
    experimental: false,
  };
  made.set(slots, type);
  return type;
}
