// What is open: a tab for each document, and the node types of the server.

import { createStore, type StoreApi } from "zustand/vanilla";
import type { NodeTypes } from "../model/types";
import type { DocumentStore } from "./documents";
import type { RunsStore } from "./runs";

export interface Tab {
  /** Of the tab, not of the workflow: the same file may be open twice. */
  readonly id: string;
  readonly title: string;
  /** The file under workflows/ in the user's folder, and the revision that was read from it. */
  readonly file?: { readonly path: string; readonly revision: string };
  readonly unsaved: boolean;
  readonly document: DocumentStore;
  readonly runs: RunsStore;
}

export interface WorkspaceState {
  readonly tabs: readonly Tab[];
  readonly active: string | undefined;
  readonly types: NodeTypes;
  readonly connected: boolean;
  setTypes(types: NodeTypes): void;
  setConnected(connected: boolean): void;
  open(tab: Tab): void;
  patch(id: string, change: Partial<Omit<Tab, "id">>): void;
  close(id: string): void;
  activate(id: string): void;
}

export type WorkspaceStore = StoreApi<WorkspaceState>;

export const createWorkspaceStore = (): WorkspaceStore =>
  createStore<WorkspaceState>()((set, get) => ({
    tabs: [],
    active: undefined,
    types: new Map(),
    connected: false,
    setTypes: (types) => set({ types }),
    setConnected: (connected) => set({ connected }),
    open: (tab) => set({ tabs: [...get().tabs, tab], active: tab.id }),
    patch: (id, change) => set({ tabs: get().tabs.map((tab) => (tab.id === id ? { ...tab, ...change } : tab)) }),
    close: (id) => {
      const place = get().tabs.findIndex((tab) => tab.id === id);
      const tabs = get().tabs.filter((tab) => tab.id !== id);
      const next = get().active === id ? tabs[Math.min(place, tabs.length - 1)]?.id : get().active;
      set({ tabs, active: next });
    },
    activate: (id) => set({ active: id }),
  }));
