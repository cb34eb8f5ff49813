// A new node where it covers nothing: to the right of what is there.

import { levelOf } from "../../model/document";
import { addNode } from "../../model/edit/nodes";
import { around, boxOf } from "../../model/edit/size";
import { ROOT, type NodeId } from "../../model/ids";
import type { NodeType, NodeTypes } from "../../model/types";
import { NOTHING_SELECTED } from "../../state/documents";
import type { Tab } from "../../state/workspace";

const GAP = 64;

/** Add it, select it, and answer its id. */
export function addAtFree(tab: Tab, type: NodeType, types: NodeTypes): NodeId {
  const { document, path, edit, select } = tab.document.getState();
  const level = levelOf(document, path.at(-1) ?? ROOT);
  const box = around([...level.nodes.values()].map((node) => boxOf(document, node, types)));
  const position = box === undefined ? { x: 0, y: 0 } : { x: box.x + box.width + GAP, y: box.y };
  const { change, node } = addNode(document, level, type, position);
  edit(change, "command.node.add");
  select({ ...NOTHING_SELECTED, nodes: new Set([node.id]) });
  return node.id;
}
