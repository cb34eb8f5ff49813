// The document that people edit. Everything is frozen data; only `apply` (changes.ts) makes a new one.
// Slots are addressed by name. Unknown keys of a file are kept in `rest`, so that saving loses nothing.

import type { FrameId, LevelId, LinkId, NodeId, RerouteId } from "./ids";
import type { Json, JsonObject } from "./json";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export type Mode = "normal" | "mute" | "bypass";
/** What happens to a number after it was sent. */
export type AfterRun = "fixed" | "increment" | "decrement" | "randomize";

/** A slot as the file has it: what an unknown node type is drawn with, and what is written back. */
export interface Slot {
  readonly name: string;
  readonly type: string;
  readonly label?: string;
  /** The input belongs to a widget of the same name. */
  readonly widget?: boolean;
  readonly rest?: JsonObject;
}

export interface Node {
  readonly id: NodeId;
  /** A node type, or the level id of the subgraph that this is an instance of. */
  readonly type: string;
  readonly title?: string;
  readonly position: Point;
  readonly size: Size;
  readonly mode: Mode;
  readonly collapsed: boolean;
  readonly pinned: boolean;
  readonly color?: string;
  /** Widget values by input name. What is absent has its default. */
  readonly values: Readonly<Record<string, Json>>;
  /** After-run control by input name, of the inputs that have one. */
  readonly control: Readonly<Record<string, AfterRun>>;
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
  /** `widgets_values` of an unknown type, kept as it was, since nobody knows which value is whose. */
  readonly unnamedValues?: Json;
  readonly properties: JsonObject;
  readonly rest: JsonObject;
}

export interface End {
  readonly node: NodeId;
  readonly slot: string;
}

export interface Link {
  readonly id: LinkId;
  readonly from: End;
  readonly to: End;
  readonly type: string;
  /** The reroute nearest to the target. */
  readonly via?: RerouteId;
  readonly rest?: JsonObject;
}

/** A point that links are led through; drawing only. */
export interface Reroute {
  readonly id: RerouteId;
  readonly parent?: RerouteId;
  readonly position: Point;
}

export interface Frame {
  readonly id: FrameId;
  readonly title: string;
  readonly position: Point;
  readonly size: Size;
  readonly color?: string;
  readonly rest: JsonObject;
}

/** One graph: the root, or the inside of a subgraph. */
export interface Level {
  readonly id: LevelId;
  readonly nodes: ReadonlyMap<NodeId, Node>;
  readonly links: ReadonlyMap<LinkId, Link>;
  readonly frames: ReadonlyMap<FrameId, Frame>;
  readonly reroutes: ReadonlyMap<RerouteId, Reroute>;
  /** Of a subgraph only: its name and its ends. */
  readonly definition?: Definition;
  readonly rest: JsonObject;
}

export interface Definition {
  readonly name: string;
  readonly description?: string;
  readonly category?: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly inputPosition: Point;
  readonly outputPosition: Point;
}

/** An input or output of a subgraph. */
export interface Port {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly label?: string;
  readonly rest?: JsonObject;
}

export interface Document {
  /** The workflow's UUID. */
  readonly id: string;
  readonly levels: ReadonlyMap<LevelId, Level>;
  readonly rest: JsonObject;
}

export const levelOf = (document: Document, id: LevelId): Level => {
  const level = document.levels.get(id);
  if (level === undefined) throw new Error(`there is no level ${id}`);
  return level;
};

export const linkInto = (level: Level, node: NodeId, slot: string): Link | undefined => {
  for (const link of level.links.values()) if (link.to.node === node && link.to.slot === slot) return link;
  return undefined;
};

export const linksOf = (level: Level, node: NodeId): Link[] =>
  [...level.links.values()].filter((link) => link.from.node === node || link.to.node === node);

export const emptyLevel = (id: LevelId): Level => ({
  id,
  nodes: new Map(),
  links: new Map(),
  frames: new Map(),
  reroutes: new Map(),
  rest: {},
});
