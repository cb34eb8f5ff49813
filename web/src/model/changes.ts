// Changes: what can happen to a document, as data. `apply` answers with the new document and the change that undoes it.

import type { Definition, Document, Frame, Level, Link, Node, Reroute } from "./document";
import type { FrameId, LevelId, LinkId, NodeId, RerouteId } from "./ids";
import { levelOf } from "./document";

/** Fields of a node that change together; undefined removes a field that may be absent. */
export type NodePatch = { readonly [K in Exclude<keyof Node, "id">]?: Node[K] | undefined };
export type FramePatch = { readonly [K in Exclude<keyof Frame, "id">]?: Frame[K] | undefined };
export type LinkPatch = { readonly [K in Exclude<keyof Link, "id">]?: Link[K] | undefined };

/** `at` is the place among the others, absent: after them. The order is part of a file, so undoing restores it. */
export type Change =
  | { readonly kind: "add-node"; readonly level: LevelId; readonly node: Node; readonly at?: number }
  | { readonly kind: "remove-node"; readonly level: LevelId; readonly id: NodeId }
  | { readonly kind: "patch-node"; readonly level: LevelId; readonly id: NodeId; readonly patch: NodePatch }
  | { readonly kind: "add-link"; readonly level: LevelId; readonly link: Link; readonly at?: number }
  | { readonly kind: "remove-link"; readonly level: LevelId; readonly id: LinkId }
  | { readonly kind: "patch-link"; readonly level: LevelId; readonly id: LinkId; readonly patch: LinkPatch }
  | { readonly kind: "add-frame"; readonly level: LevelId; readonly frame: Frame; readonly at?: number }
  | { readonly kind: "remove-frame"; readonly level: LevelId; readonly id: FrameId }
  | { readonly kind: "patch-frame"; readonly level: LevelId; readonly id: FrameId; readonly patch: FramePatch }
  | { readonly kind: "add-reroute"; readonly level: LevelId; readonly reroute: Reroute; readonly at?: number }
  | { readonly kind: "remove-reroute"; readonly level: LevelId; readonly id: RerouteId }
  | { readonly kind: "move-reroute"; readonly level: LevelId; readonly id: RerouteId; readonly to: Reroute["position"] }
  | { readonly kind: "add-level"; readonly level: Level; readonly at?: number }
  | { readonly kind: "remove-level"; readonly id: LevelId }
  | { readonly kind: "define-level"; readonly id: LevelId; readonly definition: Definition }
  | { readonly kind: "patch-rest"; readonly rest: Document["rest"] }
  /** Several changes as one step of undo, in order. */
  | { readonly kind: "all"; readonly changes: readonly Change[] };

export interface Applied {
  readonly document: Document;
  readonly inverse: Change;
}

/** Raised for a change that does not fit the document: a bug of the caller, never of the user. */
export class ChangeError extends Error {}

export const all = (...changes: readonly Change[]): Change =>
  changes.length === 1 && changes[0] !== undefined ? changes[0] : { kind: "all", changes };

/** `document` after `change`, and the change that leads back. Removing a node removes its links too. */
export function apply(document: Document, change: Change): Applied {
  switch (change.kind) {
    case "all":
      return applyAll(document, change.changes);
    case "add-level":
      return {
        document: withNewLevel(document, change.level, change.at),
        inverse: { kind: "remove-level", id: change.level.id },
      };
    case "remove-level": {
      const levels = new Map(document.levels);
      const level = levelOf(document, change.id);
      levels.delete(change.id);
      return { document: { ...document, levels }, inverse: { kind: "add-level", level, ...placeOf(document.levels, change.id) } };
    }
    case "define-level": {
      const level = levelOf(document, change.id);
      if (level.definition === undefined) throw new ChangeError(`level ${change.id} is no subgraph`);
      return {
        document: withLevel(document, { ...level, definition: change.definition }),
        inverse: { ...change, definition: level.definition },
      };
    }
    case "patch-rest":
      return { document: { ...document, rest: change.rest }, inverse: { kind: "patch-rest", rest: document.rest } };
    default: {
      const level = levelOf(document, change.level);
      const [next, inverse] = inLevel(level, change);
      return { document: withLevel(document, next), inverse };
    }
  }
}

type LevelChange = Extract<Change, { readonly level: LevelId }>;

function inLevel(level: Level, change: LevelChange): [Level, Change] {
  const at = { level: level.id };
  switch (change.kind) {
    case "add-node":
      return [added(level, "nodes", change.node, change.at), { kind: "remove-node", ...at, id: change.node.id }];
    case "remove-node":
      return withoutNode(level, change.id);
    case "patch-node": {
      const [next, patch] = patched(level, "nodes", change.id, change.patch);
      return [next, { ...change, patch }];
    }
    case "add-link":
      return [added(level, "links", change.link, change.at), { kind: "remove-link", ...at, id: change.link.id }];
    case "remove-link":
      return withoutLink(level, found(level, "links", change.id));
    case "patch-link": {
      const [next, patch] = patched(level, "links", change.id, change.patch);
      return [next, { ...change, patch }];
    }
    case "add-frame":
      return [added(level, "frames", change.frame, change.at), { kind: "remove-frame", ...at, id: change.frame.id }];
    case "remove-frame":
      return [
        removed(level, "frames", change.id),
        { kind: "add-frame", ...at, frame: found(level, "frames", change.id), ...placeOf(level.frames, change.id) },
      ];
    case "patch-frame": {
      const [next, patch] = patched(level, "frames", change.id, change.patch);
      return [next, { ...change, patch }];
    }
    default:
      return inReroutes(level, change);
  }
}

type RerouteChange = Extract<LevelChange, { readonly kind: "add-reroute" | "remove-reroute" | "move-reroute" }>;

function inReroutes(level: Level, change: RerouteChange): [Level, Change] {
  const at = { level: level.id };
  switch (change.kind) {
    case "add-reroute":
      return [added(level, "reroutes", change.reroute, change.at), { kind: "remove-reroute", ...at, id: change.reroute.id }];
    case "remove-reroute": {
      const reroute = found(level, "reroutes", change.id);
      return [removed(level, "reroutes", change.id), { kind: "add-reroute", ...at, reroute, ...placeOf(level.reroutes, change.id) }];
    }
    case "move-reroute": {
      const before = found(level, "reroutes", change.id);
      const [next] = patched(level, "reroutes", change.id, { position: change.to });
      return [next, { ...change, to: before.position }];
    }
  }
}

function applyAll(document: Document, changes: readonly Change[]): Applied {
  const inverses: Change[] = [];
  for (const change of changes) {
    const applied = apply(document, change);
    document = applied.document;
    inverses.unshift(applied.inverse);
  }
  return { document, inverse: all(...inverses) };
}

function withoutLink(level: Level, link: Link): [Level, Change] {
  const inverse: Change = { kind: "add-link", level: level.id, link, ...placeOf(level.links, link.id) };
  return [removed(level, "links", link.id), inverse];
}

function withoutNode(level: Level, id: NodeId): [Level, Change] {
  const node = found(level, "nodes", id);
  const back: Change[] = [{ kind: "add-node", level: level.id, node, ...placeOf(level.nodes, id) }];
  let next = removed(level, "nodes", id);
  for (const link of level.links.values()) {
    if (link.from.node !== id && link.to.node !== id) continue;
    const [without, inverse] = withoutLink(next, link);
    next = without;
    back.push(inverse);
  }
  return [next, all(...back.reverse())];
}

/** The place of an item among the others, unless it is the last one. */
function placeOf(items: ReadonlyMap<string, unknown>, id: string): { at?: number } {
  let at = 0;
  for (const key of items.keys()) {
    if (key === id) break;
    at++;
  }
  return at + 1 >= items.size ? {} : { at };
}

function inserted<K, V>(items: ReadonlyMap<K, V>, key: K, value: V, at: number | undefined): Map<K, V> {
  if (at === undefined || at >= items.size) return new Map(items).set(key, value);
  const entries = [...items];
  entries.splice(Math.max(0, at), 0, [key, value]);
  return new Map(entries);
}

interface Items {
  readonly nodes: Node;
  readonly links: Link;
  readonly frames: Frame;
  readonly reroutes: Reroute;
}

const itemsOf = <K extends keyof Items>(level: Level, kind: K): ReadonlyMap<string, Items[K]> =>
  level[kind] as unknown as ReadonlyMap<string, Items[K]>;

function found<K extends keyof Items>(level: Level, kind: K, id: string): Items[K] {
  const item = itemsOf(level, kind).get(id);
  if (item === undefined) throw new ChangeError(`level ${level.id} has no ${id} among its ${kind}`);
  return item;
}

function added<K extends keyof Items>(level: Level, kind: K, item: Items[K], at: number | undefined): Level {
  const items = itemsOf(level, kind);
  if (items.has(item.id)) throw new ChangeError(`level ${level.id} has ${item.id} among its ${kind} already`);
  return { ...level, [kind]: inserted(items, item.id as string, item, at) };
}

function removed<K extends keyof Items>(level: Level, kind: K, id: string): Level {
  found(level, kind, id);
  const items = new Map(itemsOf(level, kind));
  items.delete(id);
  return { ...level, [kind]: items };
}

function patched<K extends keyof Items>(
  level: Level,
  kind: K,
  id: string,
  patch: object,
): [Level, Record<string, unknown>] {
  const before = found(level, kind, id) as unknown as Record<string, unknown>;
  const after = { ...before };
  const back: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(patch)) {
    back[name] = before[name];
    if (value === undefined) Reflect.deleteProperty(after, name);
    else after[name] = value;
  }
  const items = new Map<string, unknown>(itemsOf(level, kind));
  items.set(id, after);
  return [{ ...level, [kind]: items }, back];
}

function withLevel(document: Document, level: Level): Document {
  return { ...document, levels: new Map(document.levels).set(level.id, level) };
}

function withNewLevel(document: Document, level: Level, at: number | undefined): Document {
  if (document.levels.has(level.id)) throw new ChangeError(`there is a level ${level.id} already`);
  return { ...document, levels: inserted(document.levels, level.id, level, at) };
}
