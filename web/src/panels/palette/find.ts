// Find in the workflow: nodes of all levels by title, type, id and by what their fields hold.

import type { Document, Node } from "../../model/document";
import { ROOT, type LevelId, type NodeId } from "../../model/ids";
import { levelId } from "../../model/ids";
import type { NodeTypes } from "../../model/types";
import { score } from "../../commands/rank";

export interface Found {
  readonly level: LevelId;
  /** The levels from the root to the one it is in. */
  readonly path: readonly LevelId[];
  readonly node: NodeId;
  readonly title: string;
  readonly type: string;
  /** The field whose value was found, if that is what fits. */
  readonly field?: { readonly name: string; readonly value: string };
}

const MOST = 100;

export function findInDocument(document: Document, types: NodeTypes, query: string): Found[] {
  const scored: { found: Found; value: number }[] = [];
  for (const [level, path] of pathsOf(document)) {
    for (const node of document.levels.get(level)?.nodes.values() ?? []) {
      const title = node.title ?? types.get(node.type)?.title ?? node.type;
      const base = { level, path, node: node.id, title, type: node.type };
      const byName = score(query, { name: title, also: [node.type, `#${node.id}`, node.id] });
      const field = byName >= 400 || query.trim() === "" ? undefined : fieldWith(node, query);
      if (byName > 0) scored.push({ found: base, value: byName });
      else if (field !== undefined) scored.push({ found: { ...base, field }, value: 200 });
    }
  }
  return scored.sort((left, right) => right.value - left.value).slice(0, MOST).map(({ found }) => found);
}

/** Each level once, with one way that leads to it. */
function pathsOf(document: Document): Map<LevelId, readonly LevelId[]> {
  const paths = new Map<LevelId, readonly LevelId[]>([[ROOT, [ROOT]]]);
  for (const [level, path] of paths) {
    for (const node of document.levels.get(level)?.nodes.values() ?? []) {
      const inner = levelId(node.type);
      if (document.levels.has(inner) && !paths.has(inner)) paths.set(inner, [...path, inner]);
    }
  }
  return paths;
}

function fieldWith(node: Node, query: string): { name: string; value: string } | undefined {
  const wanted = query.trim().toLowerCase();
  for (const [name, value] of Object.entries(node.values)) {
    const text = typeof value === "string" ? value : typeof value === "object" ? "" : String(value);
    const at = text.toLowerCase().indexOf(wanted);
    if (at >= 0) return { name, value: text.slice(Math.max(0, at - 20), at + wanted.length + 40) };
  }
  return undefined;
}
