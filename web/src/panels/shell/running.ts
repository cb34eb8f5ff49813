// Runs, bound to the stores: how a tab becomes a prompt, what happens to seeds, and what people are told.

import { messageOf, notify } from "../../commands/notify";
import type { RunService } from "../../commands/services";
import { t } from "../../i18n";
import { afterRun, toPrompt } from "../../model/convert";
import { workflowJson } from "../../model/formats/workflow";
import { UnreachableError, type Client, type Connection } from "../../net";
import type { SettingsStore } from "../../state/settings";
import type { UiStore } from "../../state/ui";
import type { Tab, WorkspaceStore } from "../../state/workspace";
import type { Estimates } from "../queue/estimate";
import type { JobsStore } from "../queue/jobs-store";
import { createRunController, type JobEnd, type RunController } from "../queue/run-controller";

interface Parts {
  readonly client: Client;
  readonly connection: Connection;
  readonly workspace: WorkspaceStore;
  readonly jobs: JobsStore;
  readonly estimates: Estimates;
  readonly settings: SettingsStore;
  readonly ui: UiStore;
}

/** Numbers between 0 and 1 that nobody can foresee. */
const random = (): number => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;

export function createRuns({ client, connection, workspace, jobs, estimates, settings, ui }: Parts): RunController {
  const types = (): ReturnType<WorkspaceStore["getState"]>["types"] => workspace.getState().types;
  const countOn = (tab: Tab): void => {
    const { document, edit } = tab.document.getState();
    const change = afterRun(document, types(), random);
    if (change !== undefined) edit(change, "step.afterRun", "after run");
  };
  const before = (): boolean => settings.getState().values.afterRun === "before";
  return createRunController({
    client,
    connection,
    workspace,
    jobs,
    estimates,
    previewMethod: () => settings.getState().values.preview,
    toPrompt: (tab) => {
      if (before()) countOn(tab);
      const { document } = tab.document.getState();
      const { prompt, origins } = toPrompt(document, types(), { random });
      return { prompt, workflow: workflowJson(document, types()), origins };
    },
    afterQueued: (tab) => {
      if (!before()) countOn(tab);
    },
    onEnded: (end) => tell(end, settings, ui),
  });
}

function tell({ tab, state }: JobEnd, settings: SettingsStore, ui: UiStore): void {
  if (tab === undefined) return;
  const text = t(`run.ended.${state}`, { name: tab.title });
  ui.getState().announce(text);
  if (settings.getState().values.notifications && document.hidden && "Notification" in window && Notification.permission === "granted") {
    new Notification("Easel", { body: text, tag: tab.id });
  }
}

export function runService(runs: RunController, settings: SettingsStore, ui: UiStore): RunService {
  const preview = () => ({ previewMethod: settings.getState().values.preview });
  return {
    queue: async (tab, how) => {
      const { refused } = await runs.queue(tab, { ...how, ...preview() });
      if (refused === undefined) return ui.getState().announce(t("run.queued"));
      // What is about the workflow itself is in its errors; that nobody answered is not.
      const errors = refused instanceof UnreachableError ? 0 : Object.values(tab.runs.getState().errors).flat().length;
      const action = { label: t("shell.show"), run: () => ui.getState().show("errors") };
      if (errors > 0) notify(t("run.refused", { count: errors }), { tone: "error", action });
      else notify(t("run.notSent"), { tone: "error", details: messageOf(refused) });
    },
    cancel: (tab) => runs.cancel(tab),
    clear: () => runs.clear(),
  };
}
