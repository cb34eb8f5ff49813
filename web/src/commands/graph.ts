// Commands for what is in a graph: edit, node, link, structure. Each is one step of undo.

import type { Change } from "../model/changes";
import type { Document, Level, Mode } from "../model/document";
import { levelOf } from "../model/document";
import { duplicate } from "../model/edit/fragment";
import { linksAround, reach } from "../model/edit/graph";
import { disconnect } from "../model/edit/links";
import { fitNode, remove, rename, toggleFlag, toggleMode } from "../model/edit/nodes";
import { all } from "../model/changes";
import { ROOT, type LinkId, type NodeId } from "../model/ids";
import type { NodeTypes } from "../model/types";
import { NOTHING_SELECTED, type Selection } from "../state/documents";
import type { Tab } from "../state/workspace";
import { t } from "../i18n";
import type { Command, CommandContext, CommandTable } from "./command";
import { hasTab } from "./general";
import type { Services } from "./services";

/** What a command on a graph works with: the level that is shown, and what is selected in it. */
export interface Here {
  readonly tab: Tab;
  readonly document: Document;
  readonly level: Level;
  readonly selection: Selection;
  readonly types: NodeTypes;
}

export function hereOf({ workspace, tab }: CommandContext): Here | undefined {
  if (tab === undefined) return undefined;
  const { document, path, selection } = tab.document.getState();
  const level = document.levels.get(path.at(-1) ?? ROOT) ?? levelOf(document, ROOT);
  return { tab, document, level, selection, types: workspace.getState().types };
}

export const selects = (kind: keyof Selection, least = 1) => (context: CommandContext): boolean =>
  (hereOf(context)?.selection[kind].size ?? 0) >= least;
export const hasNodes = selects("nodes");
const hasAny = (context: CommandContext): boolean => {
  const selection = hereOf(context)?.selection;
  return selection !== undefined && Object.values(selection).some((ids: ReadonlySet<unknown>) => ids.size > 0);
};

/** A command that makes one change; nothing happens where there is none to make. */
export const changing = (
  id: string,
  keys: readonly string[],
  when: (context: CommandContext) => boolean,
  make: (here: Here) => Change | undefined,
): Command => ({
  id,
  group: id.split(".")[0] ?? "",
  keys,
  when,
  run: (context) => {
    const here = hereOf(context);
    const change = here === undefined ? undefined : make(here);
    if (change !== undefined && here !== undefined) here.tab.document.getState().edit(change, `command.${id}`);
  },
});

const selecting = (
  id: string,
  keys: readonly string[],
  when: (context: CommandContext) => boolean,
  find: (here: Here) => Partial<Selection>,
): Command => ({
  id,
  group: id.split(".")[0] ?? "",
  keys,
  when,
  run: (context) => {
    const here = hereOf(context);
    if (here !== undefined) here.tab.document.getState().select({ ...NOTHING_SELECTED, ...find(here) });
  },
});

export function editCommands(services: Services): CommandTable {
  const plain = (id: string, keys: readonly string[], when: Command["when"], run: (tab: Tab) => void): Command => ({
    id,
    group: "edit",
    keys,
    when: when ?? hasTab,
    run: ({ tab }) => (tab === undefined ? undefined : run(tab)),
  });
  const steps = (list: "done" | "undone") => (context: CommandContext): boolean =>
    (context.tab?.document.getState().history[list].length ?? 0) > 0;
  return [
    plain("edit.undo", ["mod+z"], steps("done"), (tab) => tab.document.getState().undo()),
    plain("edit.redo", ["mod+shift+z", "mod+y"], steps("undone"), (tab) => tab.document.getState().redo()),
    plain("edit.history", ["alt+h"], hasTab, () => services.ui.getState().setOverlay("history")),
    ...clipboardCommands(services),
    selecting("edit.selectAll", ["mod+a"], hasTab, ({ level }) => ({
      nodes: new Set(level.nodes.keys()),
      frames: new Set(level.frames.keys()),
    })),
    selecting("edit.selectNone", ["escape"], hasAny, () => ({})),
    selecting("edit.invert", ["mod+i"], hasTab, ({ level, selection }) => ({
      nodes: new Set([...level.nodes.keys()].filter((id) => !selection.nodes.has(id))),
    })),
    selecting("edit.upstream", [], hasNodes, ({ level, selection }) => ({
      nodes: reach(level, selection.nodes, "upstream"),
    })),
    selecting("edit.downstream", [], hasNodes, ({ level, selection }) => ({
      nodes: reach(level, selection.nodes, "downstream"),
    })),
    changing("edit.delete", ["delete", "backspace"], hasAny, ({ document, level, selection }) =>
      remove(document, level, selection),
    ),
    changing("edit.deleteKeepLinks", ["mod+delete"], hasNodes, ({ document, level, selection }) =>
      remove(document, level, selection, true),
    ),
    {
      id: "edit.duplicate",
      group: "edit",
      keys: ["mod+d"],
      when: hasNodes,
      run: (context) => {
        const here = hereOf(context);
        if (here === undefined) return;
        const made = duplicate(here.document, here.level, here.selection.nodes, here.selection.frames);
        if (made === undefined) return;
        const store = here.tab.document.getState();
        store.edit(made.change, "command.edit.duplicate");
        store.select({ ...NOTHING_SELECTED, nodes: new Set(made.nodes), frames: new Set(made.frames) });
      },
    },
  ];
}

function clipboardCommands({ clipboard }: Services): CommandTable {
  const on = (id: string, key: string, when: Command["when"], run: (tab: Tab) => Promise<void>): Command => ({
    id,
    group: "edit",
    keys: [key],
    native: key === LINKED ? [] : [key],
    when: when ?? hasTab,
    run: ({ tab }) => (tab === undefined ? undefined : run(tab)),
  });
  return [
    on("edit.copy", "mod+c", hasAny, (tab) => clipboard.copy(tab)),
    on("edit.cut", "mod+x", hasAny, (tab) => clipboard.cut(tab)),
    on("edit.paste", "mod+v", hasTab, (tab) => clipboard.paste(tab, false)),
    on("edit.pasteLinked", LINKED, hasTab, (tab) => clipboard.paste(tab, true)),
  ];
}

const LINKED = "mod+shift+v";

export function nodeCommands({ ui, view, run }: Services): CommandTable {
  const mode = (id: string, keys: readonly string[], which: Exclude<Mode, "normal">): Command =>
    changing(id, keys, hasNodes, ({ level, selection }) => toggleMode(level, selection.nodes, which));
  return [
    { id: "node.add", group: "node", keys: ["tab"], when: hasTab, run: () => view.openSearch() },
    {
      id: "node.rename",
      group: "node",
      keys: ["f2"],
      when: (context) => hereOf(context)?.selection.nodes.size === 1,
      run: async (context) => {
        const here = hereOf(context);
        const node = here?.level.nodes.get([...here.selection.nodes][0] as NodeId);
        if (here === undefined || node === undefined) return;
        const given = node.title ?? here.types.get(node.type)?.title ?? node.type;
        const answer = await ui.getState().ask({
          title: t("command.node.rename"),
          field: { label: t("shell.name"), value: given },
          actions: [{ id: "rename", label: t("shell.rename"), tone: "primary" }],
        });
        if (answer === undefined) return;
        here.tab.document.getState().edit(rename(here.level, node.id, answer.text), "command.node.rename");
      },
    },
    mode("node.mute", ["mod+m"], "mute"),
    mode("node.bypass", ["mod+b"], "bypass"),
    changing("node.collapse", ["alt+c"], hasNodes, ({ level, selection }) =>
      toggleFlag(level, selection.nodes, "collapsed"),
    ),
    changing("node.pin", ["p"], hasNodes, ({ level, selection }) => toggleFlag(level, selection.nodes, "pinned")),
    changing("node.fitSize", [], hasNodes, ({ document, level, selection, types }) => {
      const changes = [...selection.nodes].flatMap((id) => fitNode(document, level, id, types) ?? []);
      return changes.length === 0 ? undefined : all(...changes);
    }),
    {
      id: "node.run",
      group: "node",
      keys: ["alt+enter"],
      when: hasNodes,
      run: (context) => {
        const here = hereOf(context);
        if (here === undefined) return;
        const prefix = view.instances().map((id) => `${id}:`).join("");
        return run.queue(here.tab, { targets: [...here.selection.nodes].map((id) => prefix + id) });
      },
    },
  ];
}

export function linkCommands(): CommandTable {
  const around = ({ level, selection }: Here, side: "into" | "outOf"): LinkId[] =>
    [...selection.nodes].flatMap((id) => linksAround(level, id)[side].map((link) => link.id));
  const cut = (id: string, sides: readonly ("into" | "outOf")[]): Command =>
    changing(id, [], hasNodes, (here) => {
      const changes = disconnect(here.level, new Set(sides.flatMap((side) => around(here, side))));
      return changes.length === 0 ? undefined : all(...changes);
    });
  return [cut("link.cutInputs", ["into"]), cut("link.cutOutputs", ["outOf"]), cut("link.cutAll", ["into", "outOf"])];
}
