// One store per open document: the document, its undo history, and what is selected. Components select slices of it.

import { createStore, type StoreApi } from "zustand/vanilla";
import type { Change } from "../model/changes";
import type { Document } from "../model/document";
import { ROOT, type FrameId, type LevelId, type LinkId, type NodeId, type RerouteId } from "../model/ids";
import { edit, NO_HISTORY, redo, undo, type History } from "../model/history";

export interface Selection {
  readonly nodes: ReadonlySet<NodeId>;
  readonly links: ReadonlySet<LinkId>;
  readonly frames: ReadonlySet<FrameId>;
  readonly reroutes: ReadonlySet<RerouteId>;
}

export const NOTHING_SELECTED: Selection = {
  nodes: new Set(),
  links: new Set(),
  frames: new Set(),
  reroutes: new Set(),
};

export interface DocumentState {
  readonly document: Document;
  readonly history: History;
  /** The levels from the root to the one that is shown. */
  readonly path: readonly LevelId[];
  readonly selection: Selection;
  /** Apply a change; `name` is a key of the translations, `gesture` merges changes that belong together. */
  edit(change: Change, name: string, gesture?: string): void;
  undo(): void;
  redo(): void;
  /** The same document with more names known. What was done before cannot be undone: its steps have the former names. */
  reread(document: Document): void;
  select(selection: Selection): void;
  enter(level: LevelId): void;
  /** Go up to the level at `depth` of the path (0 is the root). */
  leaveTo(depth: number): void;
}

export type DocumentStore = StoreApi<DocumentState>;

/** Hears every change that was applied, in order: the draft journal, the autosave. */
export type ChangeListener = (document: Document, change: Change | "undo" | "redo") => void;

/** What a change becomes before it is applied: what must follow from it is part of it. */
export type Settle = (document: Document, change: Change) => Change;

export function createDocumentStore(
  document: Document,
  heard: ChangeListener = () => undefined,
  settle: Settle = (_, change) => change,
): DocumentStore {
  return createStore<DocumentState>()((set, get) => ({
    document,
    history: NO_HISTORY,
    path: [ROOT],
    selection: NOTHING_SELECTED,
    edit: (asked, name, gesture) => {
      const change = settle(get().document, asked);
      set(edit(get(), change, name, gesture));
      heard(get().document, change);
    },
    undo: () => {
      if (get().history.done.length === 0) return;
      set(undo(get()));
      heard(get().document, "undo");
    },
    redo: () => {
      if (get().history.undone.length === 0) return;
      set(redo(get()));
      heard(get().document, "redo");
    },
    reread: (read) => {
      const { nodes } = get().selection;
      set({ document: read, history: NO_HISTORY, selection: { ...NOTHING_SELECTED, nodes } });
    },
    select: (selection) => set({ selection }),
    enter: (level) => set({ path: [...get().path, level], selection: NOTHING_SELECTED }),
    leaveTo: (depth) => set({ path: get().path.slice(0, depth + 1), selection: NOTHING_SELECTED }),
  }));
}
