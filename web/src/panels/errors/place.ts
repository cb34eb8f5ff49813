// Where in a document the server's id of a node points: ids of instances and of the node, joined by colons.

import type { Document } from "../../model/document";
import { levelId, nodeId, ROOT, type LevelId, type NodeId } from "../../model/ids";
import type { NodeTypes } from "../../model/types";

export interface Place {
  /** The levels from the root to the one that the node is in. */
  readonly path: readonly LevelId[];
  readonly node: NodeId;
  readonly title: string;
}

/** The node, or as much of the way to it as is still there: an instance stands for what is inside it. */
export function placeOf(document: Document, types: NodeTypes, serverId: string): Place | undefined {
  const path: LevelId[] = [ROOT];
  let found: Place | undefined;
  for (const id of serverId.split(":")) {
    const level = document.levels.get(path.at(-1) ?? ROOT);
    const node = level?.nodes.get(nodeId(id));
    if (node === undefined) break;
    const inner = levelId(node.type);
    const name = document.levels.get(inner)?.definition?.name;
    found = { path: [...path], node: node.id, title: node.title ?? name ?? types.get(node.type)?.title ?? node.type };
    if (name === undefined) break; // what a node expands into at run time is blamed on the node
    path.push(inner);
  }
  return found;
}
