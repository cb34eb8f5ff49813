// Commands for files, the view, runs and help. Those for what is in a graph are in graph.ts.

import type { Tab } from "../state/workspace";
import type { Command, CommandContext, CommandTable } from "./command";
import type { Services } from "./services";
import { PANELS, type PanelName } from "../state/ui";

export const hasTab = ({ tab }: CommandContext): boolean => tab !== undefined;

/** A command that needs an open document. */
const withTab = (id: string, keys: readonly string[], run: (tab: Tab) => void | Promise<void>): Command => ({
  id,
  group: id.split(".")[0] ?? "",
  keys,
  when: hasTab,
  run: ({ tab }) => (tab === undefined ? undefined : run(tab)),
});
const always = (id: string, keys: readonly string[], run: Command["run"]): Command => ({
  id,
  group: id.split(".")[0] ?? "",
  keys,
  run,
});

export function fileCommands({ files, ui }: Services): CommandTable {
  return [
    always("file.new", ["alt+n"], () => files.create()),
    always("file.open", ["mod+o"], () => files.pick()),
    always("file.templates", [], () => ui.getState().show("files", "templates")),
    withTab("file.save", ["mod+s"], async (tab) => void (await files.save(tab))),
    withTab("file.saveAs", ["mod+shift+s"], async (tab) => void (await files.saveAs(tab))),
    withTab("file.rename", ["shift+f2"], (tab) => files.askName(tab)),
    withTab("file.duplicate", [], (tab) => files.duplicate(tab)),
    withTab("file.versions", [], () => ui.getState().show("files", "versions")),
    withTab("file.exportWorkflow", ["mod+e"], (tab) => files.exportWorkflow(tab)),
    withTab("file.exportPrompt", ["mod+shift+e"], (tab) => files.exportPrompt(tab)),
    withTab("file.share", [], (tab) => files.share(tab)),
    withTab("file.close", ["alt+w"], (tab) => files.close(tab)),
    always("file.reopen", ["alt+shift+w"], () => files.reopen()),
    withTab("file.next", ["alt+."], () => undefined),
    withTab("file.previous", ["alt+,"], () => undefined),
  ].map(stepping);
}

/** The two that go from tab to tab. */
function stepping(command: Command): Command {
  const step = { "file.next": 1, "file.previous": -1 }[command.id];
  if (step === undefined) return command;
  return {
    ...command,
    when: ({ workspace }) => workspace.getState().tabs.length > 1,
    run: ({ workspace }) => {
      const { tabs, active, activate } = workspace.getState();
      const place = tabs.findIndex((tab) => tab.id === active);
      const next = tabs[(place + step + tabs.length) % tabs.length];
      if (next !== undefined) activate(next.id);
    },
  };
}

const PANEL_KEYS: Readonly<Record<(typeof PANELS)[number], string>> = {
  nodes: "n",
  jobs: "q",
  files: "w",
  outline: "o",
  settings: "mod+,",
};

export function viewCommands({ ui, settings, view }: Services): CommandTable {
  const panel = (name: PanelName, keys: readonly string[]): Command =>
    always(`view.${name}`, keys, () => ui.getState().toggle(name));
  const flip = (id: string, name: "grid" | "snap" | "minimap", keys: readonly string[]): Command =>
    always(id, keys, () => settings.getState().set(name, !settings.getState().values[name]));
  return [
    always("view.palette", ["mod+k", "mod+shift+p"], () => ui.getState().setOverlay("palette")),
    withTab("view.find", ["mod+f"], () => ui.getState().setOverlay("find")),
    ...PANELS.map((name) => panel(name, [PANEL_KEYS[name]])),
    panel("errors", ["e"]),
    withTab("view.fit", ["f", "shift+1"], () => view.fit()),
    withTab("view.fitSelection", ["."], () => view.fitSelection()),
    withTab("view.zoomIn", ["="], () => view.zoom("in")),
    withTab("view.zoomOut", ["-"], () => view.zoom("out")),
    withTab("view.zoomFull", ["0"], () => view.zoom("full")),
    withTab("view.form", ["alt+a"], (tab) => {
      const { forms, setForm } = ui.getState();
      setForm(tab.id, !forms.has(tab.id));
    }),
    flip("view.minimap", "minimap", ["alt+m"]),
    flip("view.grid", "grid", []),
    flip("view.snap", "snap", []),
    always("view.theme", [], () => {
      const dark = document.documentElement.dataset["theme"] !== "light";
      settings.getState().set("theme", dark ? "light" : "dark");
    }),
    withTab("view.leave", ["alt+arrowup"], (tab) => {
      const { path, leaveTo } = tab.document.getState();
      leaveTo(Math.max(0, path.length - 2));
    }),
  ];
}

export function runCommands({ run, ui }: Services): CommandTable {
  const running = ({ tab }: CommandContext): boolean => tab?.runs.getState().job !== undefined;
  return [
    withTab("run.queue", ["mod+enter"], (tab) => run.queue(tab, { count: ui.getState().batch })),
    withTab("run.front", ["mod+shift+enter"], (tab) => run.queue(tab, { front: true, count: ui.getState().batch })),
    { ...withTab("run.cancel", ["mod+alt+enter"], (tab) => run.cancel(tab)), when: running },
    always("run.clear", [], () => run.clear()),
    always("run.more", [], () => ui.getState().setBatch(ui.getState().batch + 1)),
    always("run.fewer", [], () => ui.getState().setBatch(ui.getState().batch - 1)),
  ];
}

export function helpCommands({ ui }: Services): CommandTable {
  return [
    always("help.keys", ["?", "f1"], () => ui.getState().toggle("help")),
    always("help.bindings", [], () => ui.getState().show("settings", "keys")),
  ];
}
