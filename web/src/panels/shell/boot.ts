// Puts the editor together: the server, the stores, what was open, the commands.

import { messageOf, notify } from "../../commands/notify";
import { createBlueprintService } from "../../commands/blueprintService";
import { createClipboardService } from "../../commands/clipboardService";
import type { Command, CommandContext } from "../../commands/command";
import { canRun, runCommand, type Dispatch } from "../../commands/dispatch";
import { createFileService } from "../../commands/fileService";
import { createFormats } from "../../commands/formats";
import { onMac } from "../../commands/keys";
import type { Formats, RunService, Services } from "../../commands/services";
import { createCommands } from "../../commands/table";
import { t } from "../../i18n";
import { connect, createVersionCheck, type Client, type Connection } from "../../net";
import type { DraftStore } from "../../state/drafts";
import { openDraftsDb } from "../../state/draftsDb";
import { rememberFile } from "../../state/recent";
import { createServerDrafts } from "../../state/serverDrafts";
import { createServerStore } from "../../state/serverStore";
import { newId, startSession, type Session } from "../../state/session";
import { createSettingsStore, SERVER_KEY, type SettingsStore } from "../../state/settings";
import { readShareLink } from "../../state/share";
import { storage } from "../../state/storage";
import { createUiStore } from "../../state/ui";
import { createWorkbench } from "../../state/workbench";
import { createWorkspaceStore, type WorkspaceStore } from "../../state/workspace";
import { opensAsForm, readForm } from "../appmode/linear";
import { createJobsStore } from "../queue/jobs-store";
import { createEstimates } from "../queue/estimate";
import { createMemoryStore as createMemoryUse } from "../queue/memory";
import { FIRST, readTemplate } from "../templates/templates";
import type { Editor } from "./editor";
import { loadTypes, refresh } from "./refresh";
import { createRuns, runService } from "./running";
import { createCanvasPort, followPointer, viewService } from "./ports";

const ACTIVE = "easel.active";
const BROWSER = "easel.browser";

/** Settings come first, since the page is drawn by them. */
export function startSettings(client: Client): SettingsStore {
  return createSettingsStore({
    local: storage("localStorage"),
    send: (values) => void client.saveSettings({ [SERVER_KEY]: { ...values } }).catch(() => undefined),
  });
}

export async function boot(client: Client, settings: SettingsStore): Promise<Editor> {
  const workspace = createWorkspaceStore();
  const ui = createUiStore();
  const connection = connect({ url: client.base, clientId: client.clientId });
  const formats = createFormats(() => workspace.getState().types);
  const [session, store] = await Promise.all([startSession(), openStore(client, formats), loadTypes(client, workspace)]);
  const bench = createWorkbench({ workspace, store, session: session.id, onHealth: ui.getState().setProblem });
  const drafts = createServerDrafts(client.files, (tab) => formats.write(tab.document.getState().document));
  const files = createFileService({ bench, files: client.files, formats, drafts, session, ui, template: readTemplate });
  const canvas = createCanvasPort();
  const jobs = createJobsStore(client, connection);
  const estimates = createEstimates();
  const memory = createMemoryUse(client);
  const runs = createRuns({ client, connection, workspace, jobs, estimates, settings, ui });
  const run: RunService = runService(runs, settings, ui);
  const view = viewService(canvas, followPointer());
  const clipboard = createClipboardService({ workspace, files, ui, view });
  const blueprints = createBlueprintService({ workspace, files: client.files, ui, view });
  const services: Services = { ui, settings, files, run, view, clipboard, blueprints };
  const table = createCommands(services);

  const context = (): CommandContext => {
    const { tabs, active } = workspace.getState();
    return { workspace, tab: tabs.find((tab) => tab.id === active) };
  };
  const failed: Dispatch["failed"] = (error, command) =>
    notify(t("shell.commandFailed", { name: t(`command.${command.id}`) }), { tone: "error", details: messageOf(error) });
  const act = (id: string): void => {
    const command: Command | undefined = table.find((candidate) => candidate.id === id);
    if (command !== undefined && canRun(command, context())) void runCommand(command, context(), failed);
  };
  const mac = onMac(navigator.platform);
  const dispatch: Dispatch = { table, bindings: () => settings.getState().values.keys, context, mac, failed };
  const editor: Editor = {
    workspace, bench, ui, settings, services, table, dispatch, client, drafts, session, runs, jobs, memory, canvas, context, act,
  };

  bench.restore(await store.load().catch(() => []), session.living);
  // Where the server keeps the drafts anyway, it needs no second copy.
  if (store.isWhole !== true) bench.onChange((tab) => drafts.changed(tab));
  keep(editor);
  listen(editor, connection);
  await openFirst(editor);
  return editor;
}

/** Drafts in this browser, or on the server where it keeps nothing. */
async function openStore(client: Client, formats: Formats): Promise<DraftStore> {
  try {
    return await openDraftsDb();
  } catch (error) {
    notify(t("files.draftsOnServer"), { details: messageOf(error) });
    const local = storage("localStorage");
    const browser = local.getItem(BROWSER) ?? newId();
    local.setItem(BROWSER, browser);
    return createServerStore(client.files, { write: formats.write, read: (text) => formats.readText(text).document }, browser);
  }
}

/** What is in the address, else what was open, else the first template: ready to run. */
async function openFirst({ workspace, services, ui, settings }: Editor): Promise<void> {
  try {
    const shared = readShareLink(location.hash);
    if (shared !== undefined) {
      history.replaceState(null, "", location.pathname + location.search);
      await services.files.openText(shared, t("files.shared"));
    }
  } catch (error) {
    notify(t("files.badLink"), { tone: "error", details: messageOf(error) });
  }
  const { tabs, activate } = workspace.getState();
  const last = storage("sessionStorage").getItem(ACTIVE);
  if (last !== null && location.hash === "" && tabs.some((tab) => tab.id === last)) activate(last);
  if (tabs.length === 0) await services.files.openTemplate(FIRST);
  const first = workspace.getState().tabs[0];
  if (first === undefined) services.files.create();
  else if (window.innerWidth < 640 && settings.getState().values.openForms && readForm(first.document.getState().document) !== undefined) ui.getState().setForm(first.id, true);
}

/** Everything that keeps what is open: the server's copies, the page that goes away, the tab that is shown. */
function keep({ bench, workspace, drafts, runs, settings, ui }: Editor): void {
  const flush = (): void => {
    void bench.journal.flush();
    void drafts.flush();
  };
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") flush();
  });
  window.addEventListener("pagehide", flush);
  window.addEventListener("beforeunload", (event) => {
    const unsafe = workspace.getState().tabs.some((tab) => tab.unsaved && !bench.journal.holds(tab.id));
    flush();
    // Asks only if the draft store fails or is a moment behind: else nothing can be lost.
    if (unsafe) event.preventDefault();
  });
  const known = new Set<string>();
  let lastFile: string | undefined;
  const follow = (): void => {
    const { tabs, active } = workspace.getState();
    if (active !== undefined) storage("sessionStorage").setItem(ACTIVE, active);
    const shown = tabs.find((tab) => tab.id === active)?.file?.path;
    if (shown !== undefined && shown !== lastFile) rememberFile(storage("localStorage"), shown);
    lastFile = shown;
    for (const tab of tabs) {
      if (known.has(tab.id)) continue;
      known.add(tab.id);
      if (settings.getState().values.openForms && opensAsForm(tab.document.getState().document)) ui.getState().setForm(tab.id, true);
      void runs.attach(tab).catch(() => undefined);
    }
    for (const id of known) {
      if (tabs.some((tab) => tab.id === id)) continue;
      known.delete(id);
      runs.detach(id);
    }
  };
  follow();
  workspace.subscribe(follow);
}

/** The line to the server, and what other browser tabs tell. */
function listen(editor: Editor, connection: Connection): void {
  const { workspace, client, settings, session, services } = editor;
  const versions = createVersionCheck(client);
  let connections = 0;
  const opened = (): void => {
    workspace.getState().setConnected(true);
    void refresh(editor, versions, ++connections > 1);
    void editor.drafts.flush(); // what could not be sent meanwhile
  };
  if (connection.isOpen()) opened();
  connection.listen((heard) => {
    if (heard.kind === "open") opened();
    if (heard.kind === "lost") workspace.getState().setConnected(false);
  });
  void client.settings().then((data) => settings.getState().merge(data[SERVER_KEY]), () => undefined);
  listenToOthers(session, workspace, (path) => void services.files.openStored(path));
}

function listenToOthers(session: Session, workspace: WorkspaceStore, open: (path: string) => void): void {
  session.listen((message) => {
    if (message.kind !== "saved" && message.kind !== "opened") return;
    const tab = workspace.getState().tabs.find((candidate) => candidate.file?.path === message.path);
    if (tab === undefined) return;
    if (message.kind === "opened") return notify(t("files.alsoOpen", { name: tab.title }));
    if (message.revision === tab.file?.revision) return;
    notify(t("files.savedElsewhere", { name: tab.title }), {
      action: { label: t("files.openTheirs"), run: () => open(message.path) },
    });
  });
}
