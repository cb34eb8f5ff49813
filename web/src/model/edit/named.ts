// Links by name: a SetNode keeps a value under a name, GetNodes of that name give it. Their names are text values.

import type { Level, Node } from "../document";
import type { NodeId } from "../ids";
import { GET, SET } from "../own-types";

export const isNamed = (node: Node): boolean => node.type === SET || node.type === GET;

/** The name that a SetNode or GetNode goes by: its first value. */
export function nameOf(node: Node): string | undefined {
  if (!isNamed(node)) return undefined;
  const unnamed = Array.isArray(node.unnamedValues) ? (node.unnamedValues as readonly unknown[])[0] : undefined;
  const [named] = Object.values(node.values);
  const value = named ?? unnamed;
  return typeof value === "string" ? value : undefined;
}

/** From each SetNode to the GetNodes of its name. */
export function namedLinks(level: Level): { readonly from: NodeId; readonly to: NodeId }[] {
  const named = [...level.nodes.values()].filter(isNamed);
  const sources = new Map(named.filter((node) => node.type === SET).map((node) => [nameOf(node), node.id]));
  return named.flatMap((node) => {
    const from = node.type === GET ? sources.get(nameOf(node)) : undefined;
    return from === undefined ? [] : [{ from, to: node.id }];
  });
}
