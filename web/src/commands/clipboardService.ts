// Copy, cut and paste: nodes as text. Keys send the browser's own events (the shell hears those), commands come here.

import { levelOf } from "../model/document";
import { remove } from "../model/edit/nodes";
import { copiedText, copyNodes, paste } from "../model/formats";
import { ROOT, type LevelId } from "../model/ids";
import { NOTHING_SELECTED } from "../state/documents";
import type { UiStore } from "../state/ui";
import type { Tab, WorkspaceStore } from "../state/workspace";
import { t } from "../i18n";
import { explain } from "./explain";
import { notify } from "./notify";
import type { ClipboardService, FileService, ViewService } from "./services";

interface Parts {
  readonly workspace: WorkspaceStore;
  readonly files: FileService;
  readonly ui: UiStore;
  readonly view: Pick<ViewService, "place">;
}

const shownLevel = (tab: Tab): LevelId => tab.document.getState().path.at(-1) ?? ROOT;

export function createClipboardService({ workspace, files, ui, view }: Parts): ClipboardService {
  let last: string | undefined;

  const textOf = (tab: Tab): string | undefined => {
    const { document, selection } = tab.document.getState();
    if (selection.nodes.size + selection.frames.size === 0) return undefined;
    last = copyNodes(document, shownLevel(tab), selection, workspace.getState().types);
    ui.getState().announce(t("clipboard.copied", { count: selection.nodes.size }));
    return last;
  };

  const copy = async (tab: Tab): Promise<void> => {
    const text = textOf(tab);
    // Without leave (plain http from another machine) it can still be pasted into tabs of this window.
    if (text !== undefined) await navigator.clipboard?.writeText(text).catch(() => undefined);
  };

  const pasteNodes = (tab: Tab, text: string, withLinks: boolean): void => {
    const { document, edit, select } = tab.document.getState();
    const at = withLinks ? undefined : view.place();
    try {
      const pasted = paste(document, shownLevel(tab), text, workspace.getState().types, { withLinks, ...(at === undefined ? {} : { at }) });
      edit(pasted.change, "command.edit.paste");
      select({ ...NOTHING_SELECTED, nodes: new Set(pasted.nodes), frames: new Set(pasted.frames) });
    } catch (error) {
      notify(explain(error), { tone: "error" });
    }
  };

  const pasteText: ClipboardService["pasteText"] = async (tab, text, withLinks) => {
    const nodes = copiedText(text);
    if (tab !== undefined && nodes !== undefined) pasteNodes(tab, nodes, withLinks);
    else if (/^\s*\{|^\s*Steps: \d/m.test(text)) await files.openText(text, t("files.pasted"));
    else notify(t("clipboard.nothing"));
  };

  return {
    textOf,
    copy,
    cut: async (tab) => {
      await copy(tab);
      cutSelected(tab);
    },
    paste: async (tab, withLinks) => {
      const text = (await navigator.clipboard?.readText().catch(() => undefined)) ?? last;
      if (text === undefined || text.trim() === "") notify(t("clipboard.blocked"));
      else await pasteText(tab, text, withLinks);
    },
    pasteText,
  };
}

/** Take away what was copied; one step of undo. */
export function cutSelected(tab: Tab): void {
  const { document, selection, edit } = tab.document.getState();
  const change = remove(document, levelOf(document, shownLevel(tab)), selection);
  if (change !== undefined) edit(change, "command.edit.cut");
}
