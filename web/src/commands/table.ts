// The whole table, in the order in which the palette and the help page show it.

import type { Command, CommandTable } from "./command";
import { fileCommands, helpCommands, runCommands, viewCommands } from "./general";
import { editCommands, linkCommands, nodeCommands } from "./graph";
import type { Services } from "./services";
import { structureCommands } from "./structure";

export const GROUPS = ["file", "edit", "view", "node", "link", "structure", "run", "help"] as const;

/** `more` are the tables of other areas; a command of the same id replaces the one that is here. */
export function createCommands(services: Services, ...more: readonly CommandTable[]): CommandTable {
  const tables = [
    fileCommands(services),
    editCommands(services),
    viewCommands(services),
    nodeCommands(services),
    linkCommands(),
    structureCommands(services),
    runCommands(services),
    helpCommands(services),
    ...more,
  ];
  const byId = new Map<string, Command>();
  for (const command of tables.flat()) byId.set(command.id, command);
  const place = (command: Command): number => (GROUPS as readonly string[]).indexOf(command.group);
  return [...byId.values()].sort((left, right) => place(left) - place(right));
}
