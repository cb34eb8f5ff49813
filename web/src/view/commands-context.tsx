// The table of commands as the canvas sees it: its menus and bars run what the palette and the keys run.

import { createContext, useContext } from "react";

export interface CanvasCommands {
  act(id: string): void;
  can(id: string): boolean;
  /** The keys of a command as people read them; empty if it has none. */
  keys(id: string): string;
}

export const CommandsContext = createContext<CanvasCommands>({ act: () => undefined, can: () => true, keys: () => "" });
export const useCommands = (): CanvasCommands => useContext(CommandsContext);
