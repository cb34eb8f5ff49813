// The one bar: the open documents, the way to every command, the connection, and Run.

import * as Menu from "@radix-ui/react-dropdown-menu";
import { LayoutList, MenuIcon, Workflow } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useUi } from "../../state/editor";
import type { Tab } from "../../state/workspace";
import { DocumentTabs } from "./DocumentTabs";
import { useEditor } from "./editor";
import { MenuCommand } from "./MenuCommand";
import { RunControls, RunLine } from "./RunControls";

const MENU: readonly (readonly string[])[] = [
  ["file.new", "file.open", "file.templates"],
  ["file.save", "file.saveAs", "file.rename", "file.duplicate", "file.versions"],
  ["file.exportWorkflow", "file.exportPrompt", "file.share"],
  ["edit.undo", "edit.redo", "edit.history", "view.find"],
  ["view.palette", "help.keys", "view.settings"],
  ["file.close", "file.reopen"],
];

export function TopBar({ tab }: { readonly tab: Tab | undefined }): React.JSX.Element {
  return (
    <header className="topbar">
      <MainMenu />
      <DocumentTabs />
      {tab !== undefined && <FormSwitch tab={tab} />}
      {tab !== undefined && <RunControls tab={tab} />}
      {tab !== undefined && <RunLine tab={tab} />}
    </header>
  );
}

function MainMenu(): React.JSX.Element {
  const { t } = useTranslation();
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger className="icon-button main-menu" aria-label={t("shell.menu")} title={t("shell.menu")}>
        <MenuIcon size={16} aria-hidden />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content className="menu" align="start" sideOffset={6}>
          {MENU.map((group, place) => (
            <Menu.Group key={group[0]}>
              {place > 0 && <Menu.Separator className="menu-line" />}
              {group.map((id) => (
                <MenuCommand key={id} id={id} />
              ))}
            </Menu.Group>
          ))}
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}

function FormSwitch({ tab }: { readonly tab: Tab }): React.JSX.Element {
  const { t } = useTranslation();
  const { act } = useEditor();
  const form = useUi((state) => state.forms.has(tab.id));
  const label = t(form ? "shell.showGraph" : "shell.showForm");
  return (
    <button type="button" className="icon-button" aria-pressed={form} aria-label={label} title={label} onClick={() => act("view.form")}>
      {form ? <Workflow size={16} aria-hidden /> : <LayoutList size={16} aria-hidden />}
    </button>
  );
}
