// What the shell shows: panels, dialogs, the palette, notices. Commands and panels set it, the shell draws it.

import { createStore, type StoreApi } from "zustand/vanilla";

export const PANELS = ["nodes", "jobs", "files", "outline", "settings"] as const;
export type PanelName = (typeof PANELS)[number] | "errors" | "help" | "history";

export interface DialogAction {
  readonly id: string;
  readonly label: string;
  readonly tone?: "primary" | "danger";
}

/** A question; the answer is the action taken, and the text of the field if there is one. */
export interface Question {
  readonly title: string;
  readonly text?: string;
  readonly lines?: readonly string[];
  readonly field?: { readonly label: string; readonly value: string };
  readonly actions: readonly DialogAction[];
}
export interface Answer {
  readonly action: string;
  readonly text: string;
}

/** A file that a choice names and the server has not. */
export interface MissingModel {
  readonly name: string;
  readonly folder: string;
  readonly url?: string;
  /** The choice that is most like it. */
  readonly nearest?: string;
}

/** Something that is missing of a document that was opened. */
export interface MissingReport {
  readonly title: string;
  readonly nodes: readonly { readonly type: string; readonly count: number; readonly pack?: string }[];
  readonly models: readonly MissingModel[];
  readonly inputs: readonly { readonly node: string; readonly name: string; readonly value: string }[];
}

export interface UiState {
  readonly panel: PanelName | undefined;
  /** Which page of the settings, of the files. */
  readonly page: string;
  readonly overlay: "palette" | "find" | "missing" | "history" | undefined;
  readonly question: (Question & { readonly answer: (answer: Answer | undefined) => void }) | undefined;
  readonly missing: MissingReport | undefined;
  /** Tabs that are shown as a form. */
  readonly forms: ReadonlySet<string>;
  /** How often Run queues. */
  readonly batch: number;
  /** One line for the status bar, such as that drafts cannot be kept. */
  readonly problem: string | undefined;
  /** What a screen reader is told. */
  readonly announcement: string;
  show(panel: PanelName | undefined, page?: string): void;
  toggle(panel: PanelName): void;
  setOverlay(overlay: UiState["overlay"]): void;
  ask(question: Question): Promise<Answer | undefined>;
  setMissing(report: MissingReport | undefined): void;
  setForm(tab: string, shown: boolean): void;
  setBatch(count: number): void;
  setProblem(problem: string | undefined): void;
  announce(text: string): void;
}

export type UiStore = StoreApi<UiState>;

export const MAX_BATCH = 100;

export const createUiStore = (): UiStore =>
  createStore<UiState>()((set, get) => ({
    panel: undefined,
    page: "",
    overlay: undefined,
    question: undefined,
    missing: undefined,
    forms: new Set(),
    batch: 1,
    problem: undefined,
    announcement: "",
    show: (panel, page = "") => set({ panel, page }),
    toggle: (panel) => set({ panel: get().panel === panel ? undefined : panel, page: "" }),
    setOverlay: (overlay) => set({ overlay }),
    ask: (question) =>
      new Promise((resolve) => {
        get().question?.answer(undefined); // only one question at a time: an older one counts as dismissed
        const answer = (given: Answer | undefined): void => {
          set({ question: undefined });
          resolve(given);
        };
        set({ question: { ...question, answer } });
      }),
    setMissing: (missing) => set({ missing, overlay: missing === undefined ? undefined : "missing" }),
    setForm: (tab, shown) => {
      const forms = new Set(get().forms);
      if (shown) forms.add(tab);
      else forms.delete(tab);
      set({ forms });
    },
    setBatch: (count) => set({ batch: Math.min(MAX_BATCH, Math.max(1, Math.round(count) || 1)) }),
    setProblem: (problem) => set({ problem }),
    announce: (announcement) => set({ announcement }),
  }));
