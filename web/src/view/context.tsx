// What the parts of a canvas share: its store, whether all is far away, and the height of a row.

import { createContext, useContext } from "react";
import { useStore } from "zustand";
import type { NodeId } from "../model/ids";
import { useSetting } from "../state/editor";
import type { ViewState, ViewStore } from "./view-store";

export const ViewContext = createContext<ViewStore | undefined>(undefined);

export const useViewStore = (): ViewStore => {
  const store = useContext(ViewContext);
  if (store === undefined) throw new Error("there is no canvas around this component");
  return store;
};
export const useView = <T,>(select: (state: ViewState) => T): T => useStore(useViewStore(), select);

/** Below this zoom a node is one element. It changes at that zoom only, not with every step. */
export const FAR = 0.35;
export const FarContext = createContext(false);
export const useFar = (): boolean => useContext(FarContext);

/** The ids of the instances around the level that is shown, with a colon behind: what server ids begin with. */
export const PrefixContext = createContext("");
export const useServerId = (id: NodeId): string => useContext(PrefixContext) + id;

export const useRow = (): number => (useSetting("density") === "comfortable" ? 28 : 24);
