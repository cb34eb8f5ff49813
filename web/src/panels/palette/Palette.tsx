// The palette: every command by name with its keys, in our own order.

import * as Dialog from "@radix-ui/react-dialog";
import { Command as Cmdk } from "cmdk";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Command } from "../../commands/command";
import { canRun } from "../../commands/dispatch";
import { rank } from "../../commands/rank";
import { useEditor } from "../shell/editor";
import { useKeysOf } from "../shell/MenuCommand";
import { rememberUse, usesOf } from "./uses";
import "./palette.css";

export function Palette({ onClose }: { readonly onClose: () => void }): React.JSX.Element {
  const { t, i18n } = useTranslation();
  const { table, context, act } = useEditor();
  const shownKeys = useKeysOf();
  const [query, setQuery] = useState("");
  const now = context();
  const usable = table.filter((command) => command.id !== "view.palette" && canRun(command, now));
  const english = i18n.getFixedT("en");
  const found = rank(query, byUse(usable, query), (command) => ({
    name: t(`command.${command.id}`),
    also: [english(`command.${command.id}`), command.id.replace(".", " "), t(`command.group.${command.group}`)],
    use: usesOf(command.id),
  }));
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="dialog-shade light" />
        <Dialog.Content className="palette" aria-describedby={undefined}>
          <Dialog.Title className="hidden-text">{t("command.view.palette")}</Dialog.Title>
          <Cmdk label={t("command.view.palette")} shouldFilter={false} loop>
            <Cmdk.Input value={query} onValueChange={setQuery} placeholder={t("palette.placeholder")} />
            <Cmdk.List>
              <Cmdk.Empty>{t("palette.nothing", { query })}</Cmdk.Empty>
              {found.map((command) => (
                <Cmdk.Item
                  key={command.id}
                  value={command.id}
                  onSelect={() => {
                    rememberUse(command.id);
                    onClose();
                    // after the dialog has given the focus back, so that what opens next can have it
                    setTimeout(() => act(command.id), 0);
                  }}
                >
                  <span className="palette-group">{t(`command.group.${command.group}`)}</span>
                  <span className="palette-name">{t(`command.${command.id}`)}</span>
                  {shownKeys(command).slice(0, 1).map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </Cmdk.Item>
              ))}
            </Cmdk.List>
          </Cmdk>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** With nothing typed, what was used last stands first. */
const byUse = (commands: readonly Command[], query: string): readonly Command[] =>
  query === "" ? [...commands].sort((left, right) => usesOf(right.id) - usesOf(left.id)) : commands;
