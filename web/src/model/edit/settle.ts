// What must follow a change of values or links at nodes whose inputs depend on them, as part of the same change.

import { all, apply, type Change } from "../changes";
import type { Document, Level, Node } from "../document";
import type { LevelId, LinkId, NodeId } from "../ids";
import { chosenOf, inputsOf, isDynamic, standingIn } from "../inputs";
import type { InputType, NodeType, NodeTypes } from "../types";
import { linksAround } from "./graph";
import { disconnect } from "./links";
import { patchNode } from "./nodes";

/**
 * `change`, after which inputs that grow have no gap between their links, and which cuts the links to inputs that go
 * with another choice. What links to inputs of a choice that nobody knows stays.
 */
export function settled(document: Document, change: Change, types: NodeTypes): Change {
  const changes = flat(change);
  const touched = touchedBy(document, changes);
  if (![...touched].some(([level, ids]) => hasDynamic(document, level, ids, changes, types))) return change;
  const after = apply(document, change).document;
  const more = [...touched].flatMap(([id, ids]) => {
    const level = after.levels.get(id);
    return level === undefined ? [] : consequences(level, ids, document.levels.get(id), types);
  });
  return more.length === 0 ? change : all(...changes, ...more);
}

const flat = (change: Change): readonly Change[] => (change.kind === "all" ? change.changes.flatMap(flat) : [change]);

type Touched = Map<LevelId, Set<NodeId>>;

/** The nodes that lose a link, or get other values, or are new. */
function touchedBy(document: Document, changes: readonly Change[]): Touched {
  const touched: Touched = new Map();
  for (const change of changes) {
    if (!("level" in change) || change.kind === "add-level") continue;
    const ids = nodesTouched(document.levels.get(change.level), change);
    if (ids.length > 0) touched.set(change.level, new Set([...(touched.get(change.level) ?? []), ...ids]));
  }
  return touched;
}

function nodesTouched(level: Level | undefined, change: Change): NodeId[] {
  switch (change.kind) {
    case "add-node":
      return [change.node.id];
    case "patch-node":
      return change.patch.values === undefined ? [] : [change.id];
    case "remove-node":
      return level === undefined ? [] : linksAround(level, change.id).outOf.map((link) => link.to.node);
    case "remove-link":
    case "patch-link": {
      const link = level?.links.get(change.id);
      return link === undefined ? [] : [link.to.node];
    }
    default:
      return [];
  }
}

function hasDynamic(document: Document, id: LevelId, ids: ReadonlySet<NodeId>, changes: readonly Change[], types: NodeTypes): boolean {
  const nodes = document.levels.get(id)?.nodes;
  const added = changes.flatMap((change) => (change.kind === "add-node" ? [change.node] : []));
  const touched = [...ids].flatMap((each) => nodes?.get(each) ?? []);
  return [...touched, ...added].some((node) => dynamicType(node, types) !== undefined);
}

function dynamicType(node: Node, types: NodeTypes): NodeType | undefined {
  const type = types.get(node.type);
  return type !== undefined && isDynamic(type) ? type : undefined;
}

function consequences(level: Level, ids: ReadonlySet<NodeId>, before: Level | undefined, types: NodeTypes): Change[] {
  const cut = new Set<LinkId>();
  const changes: Change[] = [];
  for (const id of ids) {
    const node = level.nodes.get(id);
    const type = node === undefined ? undefined : dynamicType(node, types);
    if (node === undefined || type === undefined) continue;
    const { into } = linksAround(level, id);
    const isGone = goneWith(node, before?.nodes.get(id), type, new Set(into.map((link) => link.to.slot)));
    for (const link of into) if (isGone(link.to.slot)) cut.add(link.id);
    const inputs = node.inputs.filter((slot) => !isGone(slot.name));
    if (inputs.length < node.inputs.length) changes.push(patchNode(level, id, { inputs }));
    for (const input of standingIn(type, node.values)) changes.push(...closedUp(level, node, input));
  }
  return [...disconnect(level, cut), ...changes];
}

/** Whether an input went with a choice that was made anew. */
function goneWith(node: Node, before: Node | undefined, type: NodeType, linked: ReadonlySet<string>): (name: string) => boolean {
  const chosen = standingIn(type, node.values).filter((input) => {
    const now = chosenOf(input, node.values);
    return before !== undefined && now !== undefined && chosenOf(input, before.values) !== now;
  });
  if (chosen.length === 0) return () => false;
  const left = new Set(inputsOf(type, node.values, linked).map(({ name }) => name));
  return (name) => !left.has(name) && chosen.some((input) => name.startsWith(`${input.name}.`));
}

/** Links of an input that grows, moved up to where one is missing. */
function closedUp(level: Level, node: Node, { growth }: InputType): Change[] {
  const parts = growth?.parts ?? [];
  const links = new Map(linksAround(level, node.id).into.map((link) => [link.to.slot, link.id]));
  const linked = parts.filter(({ name }) => links.has(name));
  return linked.flatMap(({ name }, place): Change[] => {
    const [id, slot] = [links.get(name), parts[place]?.name];
    if (id === undefined || slot === undefined || slot === name) return [];
    return [{ kind: "patch-link", level: level.id, id, patch: { to: { node: node.id, slot } } }];
  });
}
