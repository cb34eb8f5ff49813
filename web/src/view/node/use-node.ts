// What a node component needs to know of its node, as slices that change only when it does.

import type { Node } from "../../model/document";
import { ROOT, levelId, type LevelId, type NodeId } from "../../model/ids";
import type { NodeType } from "../../model/types";
import { slotsOf, type Slots } from "../../model/edit/slots";
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
