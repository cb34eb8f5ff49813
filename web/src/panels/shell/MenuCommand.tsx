// A command of the table as an item of a menu, with its keys.

import * as Context from "@radix-ui/react-context-menu";
import * as Dropdown from "@radix-ui/react-dropdown-menu";
import { useTranslation } from "react-i18next";
import type { Command } from "../../commands/command";
import { canRun } from "../../commands/dispatch";
import { keysOf, showChord } from "../../commands/keys";
import { useSetting } from "../../state/editor";
import { useEditor } from "./editor";

/** The keys of a command as people read them; empty if it has none. */
export function useKeysOf(): (command: Command) => readonly string[] {
  const { dispatch } = useEditor();
  const bindings = useSetting("keys");
  return (command) => keysOf(command, bindings).map((chord) => showChord(chord, dispatch.mac));
}

interface Props {
  readonly id: string;
  readonly menu?: "dropdown" | "context";
}

export function MenuCommand({ id, menu = "dropdown" }: Props): React.JSX.Element | null {
  const { t } = useTranslation();
  const { table, act, context } = useEditor();
  const shown = useKeysOf();
  const command = table.find((candidate) => candidate.id === id);
  if (command === undefined) return null;
  const Item = menu === "dropdown" ? Dropdown.Item : Context.Item;
  const key = shown(command)[0];
  return (
    <Item className="menu-item" disabled={!canRun(command, context())} onSelect={() => act(id)}>
      <span>{t(`command.${id}`)}</span>
      {key !== undefined && <kbd>{key}</kbd>}
    </Item>
  );
}
