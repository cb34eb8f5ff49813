// The stores of the whole editor beside the workspace, for components anywhere: settings and what the shell shows.

import { createContext, useContext } from "react";
import { useStore } from "zustand";
import { createSettingsStore, type Settings, type SettingsStore } from "./settings";
import { createUiStore, type UiState, type UiStore } from "./ui";

export interface EditorStores {
  readonly settings: SettingsStore;
  readonly ui: UiStore;
}

/** Components outside of the whole editor (tests, stories) get stores of their own. */
const ALONE: EditorStores = {
  settings: createSettingsStore({ local: undefined, send: () => undefined }),
  ui: createUiStore(),
};

export const EditorContext = createContext<EditorStores>(ALONE);

export const useSetting = <K extends keyof Settings>(name: K): Settings[K] =>
  useStore(useContext(EditorContext).settings, (state) => state.values[name]);
export const useSettingsStore = (): SettingsStore => useContext(EditorContext).settings;

export const useUiStore = (): UiStore => useContext(EditorContext).ui;
export const useUi = <T,>(select: (state: UiState) => T): T => useStore(useUiStore(), select);
