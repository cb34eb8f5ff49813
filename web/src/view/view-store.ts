// What the canvas knows beside the document: what is being dragged, hovered, linked, searched. None of it is saved.

import { createStore, type StoreApi } from "zustand/vanilla";
import type { End, Point, Size } from "../model/document";
import type { Box } from "../model/edit/size";
import type { Side } from "../model/edit/slots";
import type { LinkId, NodeId } from "../model/ids";

/** A link that is being drawn. */
export interface Connecting {
  readonly end: End;
  readonly side: Side;
  readonly type: string;
  /** The link whose target is being moved. */
  readonly moves?: LinkId;
  /** Ends that may be dropped on, as keys (see endKey). */
  readonly targets: ReadonlySet<string>;
  /** The nodes that have one of them. */
  readonly nodes: ReadonlySet<string>;
  /** Begun by a tap or a key: the next tap ends it. */
  readonly byTap: boolean;
}

export interface SearchAt {
  /** Where the popup stands, in pixels of the canvas. */
  readonly screen: Point;
  /** Where the node is put, in the graph. */
  readonly place: Point;
  /** The end that the new node is linked to. */
  readonly from?: Connecting;
  readonly filter: string;
}

export interface MenuAt {
  readonly screen: Point;
  readonly place: Point;
  readonly on: { readonly kind: "pane" } | { readonly kind: "node" | "frame" | "link" | "reroute"; readonly id: string };
}

export type Hovered = { readonly kind: "node"; readonly id: NodeId } | { readonly kind: "link"; readonly id: LinkId };

export interface ViewState {
  /** Positions, by flow id, of what is being dragged. */
  readonly dragged: ReadonlyMap<string, Point>;
  /** Sizes, by flow id, of what is being resized. */
  readonly resized: ReadonlyMap<string, Size>;
  /** Originals that stay where they are while copies are dragged. */
  readonly ghosts: ReadonlySet<string>;
  /** How far below the node's top the sockets of its fields are, as drawn. */
  readonly anchors: ReadonlyMap<NodeId, Readonly<Record<string, number>>>;
  /** By flow id: the drawn heights of nodes that grew beyond their size. */
  readonly heights: ReadonlyMap<string, number>;
  readonly hovered: Hovered | undefined;
  readonly connecting: Connecting | undefined;
  /** Where the loose end of that link is, in the graph, and the slot it is over. */
  readonly pointer: Point | undefined;
  readonly over: string | undefined;
  /** The link that a dragged node would be put into. */
  readonly insertInto: LinkId | undefined;
  readonly search: SearchAt | undefined;
  readonly menu: MenuAt | undefined;
  readonly cut: readonly Point[] | undefined;
  /** The box that is being drawn to select. */
  readonly marquee: Box | undefined;
  /** Flow ids that stay drawn wherever they are: the one with the focus, the one in the hand. */
  readonly focused: string | undefined;
  readonly held: string | undefined;
  /** Something is being dragged: nothing may move the view or pop up. */
  readonly busy: boolean;
  readonly renaming: string | undefined;
  readonly locked: boolean;
  /** The instances that the path leads through, as far as they were entered here. */
  readonly entered: readonly NodeId[];
  set(change: Partial<Omit<ViewState, "set">>): void;
}

export type ViewStore = StoreApi<ViewState>;

export const NOTHING: ReadonlyMap<string, never> = new Map<string, never>();

export const createViewStore = (): ViewStore =>
  createStore<ViewState>()((set) => ({
    dragged: NOTHING,
    resized: NOTHING,
    ghosts: new Set(),
    anchors: new Map(),
    heights: NOTHING,
    hovered: undefined,
    connecting: undefined,
    pointer: undefined,
    over: undefined,
    insertInto: undefined,
    search: undefined,
    menu: undefined,
    cut: undefined,
    marquee: undefined,
    focused: undefined,
    held: undefined,
    busy: false,
    renaming: undefined,
    locked: false,
    entered: [],
    set: (change) => set(change),
  }));

/** Remember where a node's fields are; nothing happens if they are where they were. */
export function setAnchors(store: ViewStore, id: NodeId, tops: Readonly<Record<string, number>>): void {
  const { anchors, set } = store.getState();
  const known = anchors.get(id) ?? {};
  const names = Object.keys(tops);
  if (names.length === Object.keys(known).length && names.every((name) => Math.abs((known[name] ?? NaN) - (tops[name] ?? 0)) < 0.5)) return;
  set({ anchors: new Map(anchors).set(id, tops) });
}

/** Remember how high a node is drawn, if that is more than its size. */
export function setHeight(store: ViewStore, id: string, height: number, own: number): void {
  const { heights, set } = store.getState();
  const known = heights.get(id);
  if (height <= own + 1 ? known === undefined : known === height) return;
  const next = new Map(heights);
  if (height <= own + 1) next.delete(id);
  else next.set(id, height);
  set({ heights: next });
}
