// How components reach the stores: a context for the workspace and one for the tab they are in.

import { createContext, useContext } from "react";
import { useStore } from "zustand";
import type { Level } from "../model/document";
import { levelOf } from "../model/document";
import type { NodeType } from "../model/types";
import type { DocumentState, DocumentStore } from "./documents";
import type { NodeError, NodeRun, RunsState } from "./runs";
import type { Tab, WorkspaceState, WorkspaceStore } from "./workspace";

export const WorkspaceContext = createContext<WorkspaceStore | undefined>(undefined);
export const TabContext = createContext<Tab | undefined>(undefined);

const present = <T,>(value: T | undefined, name: string): T => {
  if (value === undefined) throw new Error(`there is no ${name} around this component`);
  return value;
};

export const useWorkspaceStore = (): WorkspaceStore => present(useContext(WorkspaceContext), "workspace");
export const useWorkspace = <T,>(select: (state: WorkspaceState) => T): T => useStore(useWorkspaceStore(), select);

export const useTab = (): Tab => present(useContext(TabContext), "tab");
export const useDocumentStore = (): DocumentStore => useTab().document;
export const useDocument = <T,>(select: (state: DocumentState) => T): T => useStore(useDocumentStore(), select);
export const useRuns = <T,>(select: (state: RunsState) => T): T => useStore(useTab().runs, select);

/** The level that is shown. */
export const useLevel = (): Level =>
  useDocument((state) => levelOf(state.document, present(state.path.at(-1), "level")));

export const useNodeType = (name: string): NodeType | undefined => useWorkspace((state) => state.types.get(name));

/** The id under which the server knows a node of the level that is shown: inside an instance its path is before it. */
export const useRunOf = (serverId: string): NodeRun | undefined => useRuns((state) => state.nodes[serverId]);

const NO_ERRORS: readonly NodeError[] = [];
export const useErrorsOf = (serverId: string): readonly NodeError[] =>
  useRuns((state) => state.errors[serverId] ?? NO_ERRORS);
