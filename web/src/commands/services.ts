// What commands act through, as far as it is not the workspace itself. The shell puts it together once, at the start.

import type { Document } from "../model/document";
import type { JsonObject } from "../model/json";
import type { SettingsStore } from "../state/settings";
import type { UiStore } from "../state/ui";
import type { Tab } from "../state/workspace";

/** Files as documents and back; the model's formats, seen from here. */
export interface Formats {
  /** Every document in a file: most hold one. Raises, with a text for people, for a file that holds none. */
  read(data: Uint8Array, name: string): Promise<Document>;
  readText(text: string): Document;
  /** As the UI workflow's JSON. */
  write(document: Document): JsonObject;
  /** As the graph that the server runs. */
  prompt(document: Document): JsonObject;
}

export interface FileService {
  create(): void;
  /** Ask for files of this computer; each opens in a tab of its own. */
  pick(): void;
  openFiles(files: readonly File[]): Promise<void>;
  openStored(path: string): Promise<void>;
  openText(text: string, title: string): Promise<void>;
  openTemplate(name: string): Promise<void>;
  save(tab: Tab): Promise<boolean>;
  saveAs(tab: Tab): Promise<boolean>;
  rename(tab: Tab, title: string): Promise<void>;
  askName(tab: Tab): Promise<void>;
  duplicate(tab: Tab): void;
  exportWorkflow(tab: Tab): void;
  exportPrompt(tab: Tab): Promise<void>;
  share(tab: Tab): Promise<void>;
  close(tab: Tab): Promise<void>;
  reopen(): void;
}

export interface RunService {
  queue(tab: Tab, how: { readonly front?: boolean; readonly count?: number; readonly targets?: readonly string[] }): Promise<void>;
  cancel(tab: Tab): Promise<void>;
  clear(): Promise<void>;
}

/** What the canvas that is shown can do; nothing while none is shown. */
export interface ViewService {
  fit(): void;
  fitSelection(): void;
  zoom(by: "in" | "out" | "full"): void;
  openSearch(): void;
}

export interface Services {
  readonly ui: UiStore;
  readonly settings: SettingsStore;
  readonly files: FileService;
  readonly run: RunService;
  readonly view: ViewService;
}
