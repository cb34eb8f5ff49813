// What a node component needs to know of its node, as slices that change only when it does.

import type { Node } from "../../model/document";
import { ROOT, levelId, type LevelId, type NodeId } from "../../model/ids";
import type { InputType, NodeType } from "../../model/types";
import { slotsOf, type ShownSlot, type Slots } from "../../model/edit/slots";
import { useDocument, useWorkspace } from "../../state/context";

export const useLevelId = (): LevelId => useDocument((state) => state.path.at(-1) ?? ROOT);

export const useNode = (id: NodeId): Node | undefined =>
  useDocument((state) => state.document.levels.get(state.path.at(-1) ?? ROOT)?.nodes.get(id));

const NO_SLOTS: Slots = { inputs: [], widgets: [], outputs: [] };

export function useSlots(id: NodeId): Slots {
  const types = useWorkspace((state) => state.types);
  return useDocument((state) => {
    const node = state.document.levels.get(state.path.at(-1) ?? ROOT)?.nodes.get(id);
    return node === undefined ? NO_SLOTS : slotsOf(state.document, node, types);
  });
}

const made = new WeakMap<Slots, NodeType>();

const asInput = (slot: ShownSlot): InputType[] =>
  slot.widget === undefined || slot.widget === "unknown"
    ? []
    : [{ name: slot.name, type: slot.type, required: slot.required, advanced: false, lazy: false, options: { display_name: slot.label }, widget: slot.widget }];

/** An instance of a subgraph as a node type, so that its promoted widgets are drawn like any others. */
export function instanceType(name: string, title: string, slots: Slots): NodeType {
  const known = made.get(slots);
  if (known !== undefined) return known;
  const type: NodeType = {
    name,
    title,
    description: "",
    category: "subgraph",
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

export interface Kind {
  readonly type: NodeType | undefined;
  /** The name of the subgraph, if the node is an instance of one. */
  readonly subgraph: string | undefined;
  readonly title: string;
}

export function useKind(node: Node): Kind {
  const type = useWorkspace((state) => state.types.get(node.type));
  const subgraph = useDocument((state) => state.document.levels.get(levelId(node.type))?.definition?.name);
  return { type, subgraph, title: node.title ?? subgraph ?? type?.title ?? node.type };
}
