// What commands act through, as far as it is not the workspace itself. The shell puts it together once, at the start.

import type { Document, Point } from "../model/document";
import type { Notice } from "../model/formats";
import type { NodeId } from "../model/ids";
import type { JsonObject } from "../model/json";
import type { SettingsStore } from "../state/settings";
import type { UiStore } from "../state/ui";
import type { Tab } from "../state/workspace";

export interface OpenedFile {
  readonly document: Document;
  /** What had to be mended in it. */
  readonly notices: readonly Notice[];
}

/** Files as documents and back; the model's formats, seen from here. */
export interface Formats {
  /** The document in a file of any kind. Raises an error that `explain` has words for if there is none. */
  read(file: File): Promise<OpenedFile>;
  readText(text: string): OpenedFile;
  /** As the UI workflow's JSON. */
  write(document: Document): JsonObject;
  /** As the text of a workflow file: to the byte what it was read from, while nothing is changed. */
  text(document: Document): string;
  /** As the text of the graph that the server runs. */
  prompt(document: Document): string;
}

export interface FileService {
  create(): void;
  /** Bring an open tab to the front. */
  show(id: string): void;
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
  exportPrompt(tab: Tab): void;
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
  /** The instances of subgraphs through which the level that is shown was entered. */
  instances(): readonly NodeId[];
  /** The place in the graph under the pointer, else in the middle of what is shown. */
  place(): Point | undefined;
}

/** Nodes as text on the clipboard, so that they go from tab to tab and from window to window. */
export interface ClipboardService {
  /** What is selected, as text; undefined if no node or frame is. */
  textOf(tab: Tab): string | undefined;
  /** Put what is selected on the clipboard by a command, not by a key of the browser. */
  copy(tab: Tab): Promise<void>;
  cut(tab: Tab): Promise<void>;
  /** Paste what is on the clipboard, or if the browser does not tell it, what was copied here last. */
  paste(tab: Tab, withLinks: boolean): Promise<void>;
  /** Nodes into the tab; any other workflow into a tab of its own. */
  pasteText(tab: Tab | undefined, text: string, withLinks: boolean): Promise<void>;
}

/** Subgraphs that are kept for use in other workflows. */
export interface BlueprintService {
  publish(tab: Tab, node: NodeId): Promise<void>;
  list(): Promise<readonly string[]>;
  insert(tab: Tab, name: string): Promise<void>;
  remove(name: string): Promise<void>;
}

export interface Services {
  readonly ui: UiStore;
  readonly settings: SettingsStore;
  readonly files: FileService;
  readonly run: RunService;
  readonly view: ViewService;
  readonly clipboard: ClipboardService;
  readonly blueprints: BlueprintService;
}
