// Where the value of a linked input comes from. Links are indexed once for each set of links, not for each field.

import type { Document, Level, Link } from "../model/document";
import type { LevelId, NodeId } from "../model/ids";
import { INPUTS } from "../model/ids";
import type { Json } from "../model/json";
import { isObject, writeJson } from "../model/json";
import { PRIMITIVE } from "../model/formats/workflow/layouts";
import { valueHeld } from "../model/edit/primitive";
import type { NodeTypes } from "../model/types";

const indexes = new WeakMap<Level["links"], ReadonlyMap<string, Link>>();

/** The link into an input; fast, since it is asked for every field after every change. */
export function incoming(level: Level, node: NodeId, input: string): Link | undefined {
  let index = indexes.get(level.links);
  if (index === undefined) {
    index = new Map([...level.links.values()].map((link) => [`${link.to.node}/${link.to.slot}`, link]));
    indexes.set(level.links, index);
  }
  return index.get(`${node}/${input}`);
}

export const isLinked = (document: Document, level: LevelId, node: NodeId, input: string): boolean => {
  const found = document.levels.get(level);
  return found !== undefined && incoming(found, node, input) !== undefined;
};

export interface Source {
  /** The title of the node that gives the value; undefined if it comes from outside the subgraph. */
  readonly node?: string;
  readonly slot: string;
  /** The value itself, where the source does nothing but hold one. */
  readonly value?: string;
}

/** What a link into the input brings; undefined without a link. */
export function sourceOf(document: Document, types: NodeTypes, level: LevelId, node: NodeId, input: string): Source | undefined {
  const graph = document.levels.get(level);
  const link = graph === undefined ? undefined : incoming(graph, node, input);
  if (graph === undefined || link === undefined) return undefined;
  if (link.from.node === INPUTS) return { slot: link.from.slot };
  const from = graph.nodes.get(link.from.node);
  if (from === undefined) return { slot: link.from.slot, node: link.from.node };
  const type = types.get(from.type);
  const title = from.title ?? type?.title ?? document.levels.get(from.type as LevelId)?.definition?.name ?? from.type;
  const held = heldValue(graph, from.id, types);
  return { node: title, slot: link.from.slot, ...(held === undefined ? {} : { value: held }) };
}

/** The value of a node with one widget and no links into it: a number, a text, a seed that others share. */
function heldValue(level: Level, id: NodeId, types: NodeTypes): string | undefined {
  const node = level.nodes.get(id);
  if (node?.type === PRIMITIVE) return short(valueHeld(node) ?? null);
  const inputs = types.get(node?.type ?? "")?.inputs ?? [];
  const only = inputs[0];
  if (node === undefined || inputs.length !== 1 || only?.widget === undefined || incoming(level, id, only.name)) return undefined;
  return short(node.values[only.name] ?? only.widget.default);
}

const MAX_SHOWN = 60;

export function short(value: Json): string {
  const text = typeof value === "string" ? value : isObject(value) || Array.isArray(value) ? writeJson(value) : String(value);
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN - 1)}…` : line;
}
