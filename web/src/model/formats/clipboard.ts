// Copied nodes as JSON text (a small workflow of their own), and pasting them as one change.

import { all, type Change } from "../changes";
import { emptyLevel, levelOf, type Document, type Frame, type Level, type Link, type Node, type Point, type Reroute } from "../document";
import {
  frameId, INPUTS, levelId, linkId, nodeId, rerouteId, ROOT, type FrameId, type LevelId, type NodeId, type RerouteId,
} from "../ids";
import { isArray, writeJson, type Json, type JsonObject } from "../json";
import type { NodeTypes } from "../types";
import { FormatError } from "./errors";
import { ORIGIN } from "./foreign";
import { highest, objectOf, parseText, same, textOf, withoutSpelling } from "./shape";
import { isWorkflow, readWorkflow, workflowJson } from "./workflow";

export interface Selected {
  readonly nodes: Iterable<NodeId>;
  readonly frames?: Iterable<FrameId>;
}

/** The selected nodes and frames of a level as text, with the links between them and those that come from outside. */
export function copyNodes(document: Document, level: LevelId, selected: Selected, types: NodeTypes): string {
  const from = levelOf(document, level);
  const ids = new Set(selected.nodes);
  const nodes = new Map([...from.nodes].filter(([id]) => ids.has(id)));
  const inner = [...from.links.values()].filter((link) => ids.has(link.from.node) && ids.has(link.to.node));
  const incoming = [...from.links.values()].filter((link) => !ids.has(link.from.node) && ids.has(link.to.node));
  const root: Level = {
    ...emptyLevel(ROOT),
    nodes,
    links: new Map(inner.map((link) => [link.id, link])),
    frames: new Map([...(selected.frames ?? [])].flatMap((id) => [...(from.frames.has(id) ? [[id, from.frames.get(id)] as const] : [])]) as [FrameId, Frame][]),
    reroutes: reroutesOf(inner, from),
  };
  const used = definitionsUsed(nodes.values(), document);
  const levels = new Map([[ROOT, root], ...[...used].map((id): [LevelId, Level] => [id, levelOf(document, id)])]);
  const origin = {
    document: document.id,
    level: level as string,
    incoming: incoming.map((link) => [link.from.node, link.from.slot, link.to.node, link.to.slot, link.type]),
  };
  const copy: Document = { id: document.id, levels, rest: { [ORIGIN]: origin } };
  return writeJson(workflowJson(copy, types));
}

function reroutesOf(links: readonly Link[], level: Level): Map<RerouteId, Reroute> {
  const used = new Map<RerouteId, Reroute>();
  for (const link of links) {
    for (let at = link.via; at !== undefined && !used.has(at); at = used.get(at)?.parent) {
      const reroute = level.reroutes.get(at);
      if (reroute === undefined) break;
      used.set(at, reroute);
    }
  }
  return used;
}

/** The subgraphs that `nodes` are instances of, and those inside them. */
function definitionsUsed(nodes: Iterable<Node>, document: Pick<Document, "levels">): Set<LevelId> {
  const used = new Set<LevelId>();
  const open = [...nodes];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const id = levelId(node.type);
    const level = document.levels.get(id);
    if (level?.definition === undefined || used.has(id)) continue;
    used.add(id);
    open.push(...level.nodes.values());
  }
  return used;
}

export interface PasteOptions {
  /** Where the upper left corner goes; absent: beside the original. */
  readonly at?: Point;
  readonly offset?: Point;
  /** Link the copies to what the originals were linked to, where that is in this level. */
  readonly withLinks?: boolean;
}

export interface Pasted {
  readonly change: Change;
  readonly nodes: readonly NodeId[];
  readonly frames: readonly FrameId[];
}

const BESIDE: Point = { x: 32, y: 32 };

/** The change that pastes `text` into a level. Raises FormatError for what is no copy, and for a subgraph into itself. */
export function paste(document: Document, level: LevelId, text: string, types: NodeTypes, options: PasteOptions = {}): Pasted {
  const data = parseText(text);
  if (!isWorkflow(data)) throw new FormatError("nothing-to-paste", "there are no nodes in what was copied", "Copy nodes first.");
  const copy = readWorkflow(data, types).document;
  const from = levelOf(copy, ROOT);
  const target = levelOf(document, level);
  const subgraphs = newDefinitions(copy, document);
  if (definitionsUsed(from.nodes.values(), copy).has(level)) {
    throw new FormatError("nothing-to-paste", "a subgraph cannot hold itself", "Paste it outside of that subgraph.");
  }
  const move = moveOf(from, options);
  const moved = (at: Point): Point => ({ x: at.x + move.x, y: at.y + move.y });
  const ids = renumbered(from.nodes.keys(), target.nodes.keys(), nodeId);
  const frames = renumbered(from.frames.keys(), target.frames.keys(), frameId);
  const reroutes = renumbered(from.reroutes.keys(), target.reroutes.keys(), rerouteId);
  const typeOf = (type: string): string => subgraphs.names.get(levelId(type)) ?? type;
  let lastLink = highest(target.links.keys());
  const newLink = (link: Pick<Link, "from" | "to" | "type">, via?: RerouteId): Change => {
    const id = linkId(++lastLink);
    return { kind: "add-link", level, link: { id, from: link.from, to: link.to, type: link.type, ...(via === undefined ? {} : { via }) } };
  };
  const changes: Change[] = [
    ...subgraphs.changes,
    ...[...from.frames.values()].map((frame): Change => {
      return { kind: "add-frame", level, frame: { ...frame, id: frames.get(frame.id) ?? frame.id, position: moved(frame.position) } };
    }),
    ...[...from.reroutes.values()].map((reroute): Change => {
      const parent = reroute.parent === undefined ? undefined : reroutes.get(reroute.parent);
      const own = { id: reroutes.get(reroute.id) ?? reroute.id, position: moved(reroute.position) };
      return { kind: "add-reroute", level, reroute: parent === undefined ? own : { ...own, parent } };
    }),
    ...[...from.nodes.values()].map((node): Change => {
      const own = { ...node, id: ids.get(node.id) ?? node.id, type: typeOf(node.type), position: moved(node.position) };
      return { kind: "add-node", level, node: own };
    }),
    ...[...from.links.values()].flatMap((link): Change[] => {
      const [source, goal] = [ids.get(link.from.node), ids.get(link.to.node)];
      if (source === undefined || goal === undefined) return [];
      const via = link.via === undefined ? undefined : reroutes.get(link.via);
      return [newLink({ from: { ...link.from, node: source }, to: { ...link.to, node: goal }, type: link.type }, via)];
    }),
    ...(options.withLinks === true ? incomingOf(data, document, target).flatMap((link): Change[] => {
      const goal = ids.get(link.to.node);
      return goal === undefined ? [] : [newLink({ ...link, to: { ...link.to, node: goal } })];
    }) : []),
  ];
  return { change: all(...changes), nodes: [...ids.values()], frames: [...frames.values()] };
}

function moveOf(level: Level, { at, offset }: PasteOptions): Point {
  if (at === undefined) return offset ?? BESIDE;
  const corners = [...level.nodes.values(), ...level.frames.values()].map((item) => item.position);
  if (corners.length === 0) return { x: 0, y: 0 };
  const least = (pick: (point: Point) => number): number => corners.reduce((low, point) => Math.min(low, pick(point)), Infinity);
  return { x: at.x - least((point) => point.x), y: at.y - least((point) => point.y) };
}

function renumbered<K extends string>(ids: Iterable<K>, used: Iterable<string>, make: (id: number) => K): Map<K, K> {
  let last = highest(used);
  return new Map([...ids].map((id) => [id, make(++last)]));
}

/** Links from outside the copy whose source is in the level that is pasted into. */
function incomingOf(data: JsonObject, document: Document, target: Level): Pick<Link, "from" | "to" | "type">[] {
  const origin = objectOf(data[ORIGIN]);
  if (origin["document"] !== document.id || origin["level"] !== target.id || !isArray(origin["incoming"])) return [];
  return origin["incoming"].flatMap((row: Json) => {
    if (!isArray(row) || !row.every((part) => typeof part === "string")) return [];
    const [source, output, goal, input, type] = row.map(textOf);
    const isThere = target.nodes.has(nodeId(source ?? "")) || (source === INPUTS && target.definition !== undefined);
    if (!isThere || source === undefined || output === undefined || goal === undefined || input === undefined) return [];
    return [{ from: { node: nodeId(source), slot: output }, to: { node: nodeId(goal), slot: input }, type: type ?? "*" }];
  });
}

/** Subgraphs that the document does not have are added; one that differs under the same id gets a new id. */
function newDefinitions(copy: Document, document: Document): { changes: Change[]; names: Map<LevelId, LevelId> } {
  const names = new Map<LevelId, LevelId>();
  const added: Level[] = [];
  for (const level of copy.levels.values()) {
    if (level.definition === undefined) continue;
    const there = document.levels.get(level.id);
    if (there === undefined) added.push(level);
    else if (!same(withoutSpelling(there), withoutSpelling(level))) {
      names.set(level.id, levelId(crypto.randomUUID()));
      added.push(level);
    }
  }
  const changes = added.map((level): Change => {
    const nodes = [...level.nodes.values()].map((node): [NodeId, Node] => {
      const type = names.get(levelId(node.type));
      return [node.id, type === undefined ? node : { ...node, type }];
    });
    return { kind: "add-level", level: { ...level, id: names.get(level.id) ?? level.id, nodes: new Map(nodes) } };
  });
  return { changes, names };
}
