// One table of commands: the palette, the menus, the keys, the docs and the tests all read it.

import type { Tab, WorkspaceStore } from "../state/workspace";

export interface CommandContext {
  readonly workspace: WorkspaceStore;
  readonly tab: Tab | undefined;
}

export interface Command {
  /** Stable; also the key of its title in the translations (`command.<id>`). */
  readonly id: string;
  /** The group it stands under in the palette: file, edit, view, node, link, structure, run, help. */
  readonly group: string;
  /** Default keys such as `mod+enter`, `shift+m`, `.`; people may rebind them. `mod` is Ctrl, or Cmd on a Mac. */
  readonly keys?: readonly string[];
  /** Keys at which the browser itself sends an event that does this (copy, cut, paste), which works without a permission. */
  readonly native?: readonly string[];
  /** Whether it can be used now; absent means always. */
  readonly when?: (context: CommandContext) => boolean;
  readonly run: (context: CommandContext) => void | Promise<void>;
}

/** The commands of an area, in the order in which menus show them. */
export type CommandTable = readonly Command[];
