// What is known of the runs of a document: the state of each node, the errors, the jobs. Filled by net, read by view.

import { createStore, type StoreApi } from "zustand/vanilla";
import type { JsonObject } from "../model/json";

export interface NodeError {
  /** The input that is to blame, if it is one input. */
  readonly input?: string;
  /** A whole sentence: what was expected, what was there, what to do. */
  readonly message: string;
  readonly details?: string;
}

export interface NodeRun {
  readonly state: "waiting" | "running" | "done" | "cached" | "error";
  readonly value?: number;
  readonly max?: number;
  /** An object URL of the latest preview. */
  readonly preview?: string;
  readonly seconds?: number;
  /** What the node shows: files by kind, as the server tells it. */
  readonly output?: JsonObject;
}

export interface RunsState {
  /** By the node id that the server uses: ids of instances and inner nodes joined by colons. */
  readonly nodes: Readonly<Record<string, NodeRun>>;
  readonly errors: Readonly<Record<string, readonly NodeError[]>>;
  /** The job that runs or waits for this document, and how far it is (0 to 1). */
  readonly job?: { readonly id: string; readonly state: "waiting" | "running"; readonly progress: number };
  set(change: Partial<Pick<RunsState, "nodes" | "errors">> & { readonly job?: RunsState["job"] | undefined }): void;
  setNode(id: string, run: NodeRun | undefined): void;
}

export type RunsStore = StoreApi<RunsState>;

export const createRunsStore = (): RunsStore =>
  createStore<RunsState>()((set, get) => ({
    nodes: {},
    errors: {},
    set: (change) => set(change as Partial<RunsState>),
    setNode: (id, run) => {
      const others = Object.entries(get().nodes).filter(([known]) => known !== id);
      set({ nodes: Object.fromEntries(run === undefined ? others : [...others, [id, run]]) });
    },
  }));
