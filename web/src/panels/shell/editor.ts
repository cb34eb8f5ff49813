// All that the panels work with, put together once at the start (boot.ts).

import { createContext, useContext } from "react";
import type { CommandContext, CommandTable } from "../../commands/command";
import type { Dispatch } from "../../commands/dispatch";
import type { Services } from "../../commands/services";
import type { Client } from "../../net/client";
import type { ServerDrafts } from "../../state/serverDrafts";
import type { Session } from "../../state/session";
import type { SettingsStore } from "../../state/settings";
import type { UiStore } from "../../state/ui";
import type { Workbench } from "../../state/workbench";
import type { WorkspaceStore } from "../../state/workspace";
import type { JobsStore } from "../queue/jobs-store";
import type { MemoryStore } from "../queue/memory";
import type { RunController } from "../queue/run-controller";
import type { CanvasPort } from "./ports";

export interface Editor {
  readonly workspace: WorkspaceStore;
  readonly bench: Workbench;
  readonly ui: UiStore;
  readonly settings: SettingsStore;
  readonly services: Services;
  readonly table: CommandTable;
  readonly dispatch: Dispatch;
  readonly client: Client;
  readonly drafts: ServerDrafts;
  readonly session: Session;
  readonly runs: RunController;
  readonly jobs: JobsStore;
  readonly memory: MemoryStore;
  /** Where the canvas that is shown puts its controller while it is mounted, so that commands reach it. */
  readonly canvas: CanvasPort;
  readonly context: () => CommandContext;
  /** Run a command of the table by its id. */
  readonly act: (id: string) => void;
}

export const ShellContext = createContext<Editor | undefined>(undefined);

export function useEditor(): Editor {
  const editor = useContext(ShellContext);
  if (editor === undefined) throw new Error("there is no editor around this component");
  return editor;
}
