// The page: one bar, one rail, the document, panels over it, and what comes up above all of that.

import { lazy } from "react";
import { useTranslation } from "react-i18next";
import { Toaster } from "sonner";
import { TabContext, useWorkspace } from "../../state/context";
import { useSetting, useUi } from "../../state/editor";
import type { PanelName } from "../../state/ui";
import type { Tab } from "../../state/workspace";
import { Completions } from "./Completions";
import { useEditor } from "./editor";
import { Offline } from "./Offline";
import { Part } from "./Part";
import { QuestionDialog } from "./QuestionDialog";
import { Rail } from "./Rail";
import { SidePanel } from "./SidePanel";
import { LiveRegion, StatusLine } from "./StatusLine";
import { TopBar } from "./TopBar";
import { useClipboard, useDrop, useKeys, useLook, useSoon, useTitle } from "./useEffects";
import { Stage } from "./Stage";

const NodesPanel = lazy(() => import("./NodesPanel").then((module) => ({ default: module.NodesPanel })));
const FilesPanel = lazy(() => import("../files/FilesPanel").then((module) => ({ default: module.FilesPanel })));
const OutlinePanel = lazy(() => import("../outline/OutlinePanel").then((module) => ({ default: module.OutlinePanel })));
const SettingsPanel = lazy(() => import("../settings/SettingsPanel").then((module) => ({ default: module.SettingsPanel })));
const HelpPanel = lazy(() => import("../help/HelpPanel").then((module) => ({ default: module.HelpPanel })));
const JobsPanel = lazy(() => import("../queue/jobs-panel").then((module) => ({ default: module.JobsPanel })));
const ErrorsPanel = lazy(() => import("../errors/errors-panel").then((module) => ({ default: module.ErrorsPanel })));
const loadPalette = () => import("../palette/Palette").then((module) => ({ default: module.Palette }));
const Palette = lazy(loadPalette);
const Find = lazy(() => import("../palette/Find").then((module) => ({ default: module.Find })));
const HistoryDialog = lazy(() => import("./HistoryDialog").then((module) => ({ default: module.HistoryDialog })));
const MissingDialog = lazy(() => import("./MissingDialog").then((module) => ({ default: module.MissingDialog })));
const AppMode = lazy(() => import("../appmode/AppMode").then((module) => ({ default: module.AppMode })));

/** Notices leave the tools of the canvas free, in pixels. */
const ABOVE_TOOLS = 72;

export function Shell(): React.JSX.Element {
  const editor = useEditor();
  useKeys(editor);
  useLook(editor);
  useDrop(editor);
  useClipboard(editor);
  const tab = useWorkspace((state) => state.tabs.find((candidate) => candidate.id === state.active));
  const form = useUi((state) => tab !== undefined && state.forms.has(tab.id));
  useTitle(tab);
  useSoon(loadPalette);
  return (
    <div className="shell">
      <TopBar tab={tab} />
      <Offline />
      <Rail />
      <Completions>
        {tab === undefined ? <Welcome /> : <Open key={tab.id} tab={tab} form={form} />}
        <TabContext.Provider value={tab}>
          <Panel tab={tab} />
        </TabContext.Provider>
      </Completions>
      {!form && <StatusLine tab={tab} />}
      <Overlays tab={tab} />
      <LiveRegion tab={tab} />
    </div>
  );
}

/** The document that is shown: as a graph, or as a form. */
function Open({ tab, form }: { readonly tab: Tab; readonly form: boolean }): React.JSX.Element {
  return (
    <TabContext.Provider value={tab}>
      <div className="stage">
        <Part>{form ? <AppMode /> : <Stage />}</Part>
      </div>
    </TabContext.Provider>
  );
}

function Welcome(): React.JSX.Element {
  const { t } = useTranslation();
  const { services, act } = useEditor();
  return (
    <main className="stage welcome">
      <p>{t("shell.nothingOpen")}</p>
      <div>
        <button type="button" className="button primary" onClick={() => services.files.create()}>
          {t("command.file.new")}
        </button>
        <button type="button" className="button" onClick={() => act("file.templates")}>
          {t("command.file.templates")}
        </button>
        <button type="button" className="button" onClick={() => act("file.reopen")}>
          {t("command.file.reopen")}
        </button>
      </div>
    </main>
  );
}

const WIDTHS: Partial<Record<PanelName, number>> = { jobs: 400, files: 380, settings: 380, help: 400, errors: 380 };

function Panel({ tab }: { readonly tab: Tab | undefined }): React.JSX.Element | null {
  const { t } = useTranslation();
  const panel = useUi((state) => state.panel);
  const show = useUi((state) => state.show);
  if (panel === undefined) return null;
  const needsTab = panel === "outline" || panel === "errors";
  return (
    <SidePanel key={panel} name={panel} title={t(`panel.${panel}`)} usual={WIDTHS[panel] ?? 320} onClose={() => show(undefined)}>
      <Part>
        {needsTab && tab === undefined ? <p className="hint">{t("shell.nothingOpen")}</p> : <PanelContent panel={panel} tab={tab} />}
      </Part>
    </SidePanel>
  );
}

function PanelContent({ panel, tab }: { readonly panel: PanelName; readonly tab: Tab | undefined }): React.JSX.Element | null {
  switch (panel) {
    case "nodes":
      return <NodesPanel tab={tab} />;
    case "jobs":
      return <JobsPanel />;
    case "errors":
      return <ErrorsPanel />;
    case "files":
      return <FilesPanel />;
    case "outline":
      return <OutlinePanel />;
    case "settings":
      return <SettingsPanel />;
    case "help":
      return <HelpPanel />;
    default:
      return null;
  }
}

function Overlays({ tab }: { readonly tab: Tab | undefined }): React.JSX.Element {
  const { t } = useTranslation();
  const overlay = useUi((state) => state.overlay);
  const setOverlay = useUi((state) => state.setOverlay);
  const theme = useSetting("theme");
  const close = (): void => setOverlay(undefined);
  return (
    <>
      <Part>
        {overlay === "palette" && <Palette onClose={close} />}
        {overlay === "find" && tab !== undefined && <Find tab={tab} onClose={close} />}
        {overlay === "history" && tab !== undefined && <HistoryDialog tab={tab} onClose={close} />}
        {overlay === "missing" && <MissingDialog />}
      </Part>
      <QuestionDialog />
      <Toaster theme={theme} position="bottom-right" offset={{ bottom: ABOVE_TOOLS, right: 16 }} gap={8} containerAriaLabel={t("shell.notices")} toastOptions={{ closeButtonAriaLabel: t("shell.close") }} />
    </>
  );
}
