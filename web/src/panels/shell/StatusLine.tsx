// One quiet line at the bottom: what is wrong with keeping drafts, the errors, what is open; and what is said aloud.

import { CircleAlert, TriangleAlert } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import { useUi } from "../../state/editor";
import { ROOT } from "../../model/ids";
import { useWorkspace } from "../../state/context";
import { JobsStatus } from "../queue/jobs-status";
import { useEditor } from "./editor";
import type { Tab } from "../../state/workspace";

export function StatusLine({ tab }: { readonly tab: Tab | undefined }): React.JSX.Element {
  const { t } = useTranslation();
  const problem = useUi((state) => state.problem);
  return (
    <footer className="status-line">
      {problem !== undefined && (
        <span className="status-problem" role="alert">
          <TriangleAlert size={13} aria-hidden /> {t("shell.draftProblem", { problem })}
        </span>
      )}
      <Jobs />
      {tab !== undefined && <Errors tab={tab} />}
      {tab !== undefined && <Contents tab={tab} />}
    </footer>
  );
}

function Jobs(): React.JSX.Element {
  const { jobs, runs, memory } = useEditor();
  const connected = useWorkspace((state) => state.connected);
  const toggle = useUi((state) => state.toggle);
  return <JobsStatus jobs={jobs} live={runs.live} memory={memory} connected={connected} onOpen={() => toggle("jobs")} />;
}

function Errors({ tab }: { readonly tab: Tab }): React.JSX.Element | null {
  const { t } = useTranslation();
  const count = useStore(tab.runs, (state) => Object.values(state.errors).filter((errors) => errors.length > 0).length);
  const toggle = useUi((state) => state.toggle);
  if (count === 0) return null;
  return (
    <button type="button" className="status-errors" onClick={() => toggle("errors")}>
      <CircleAlert size={13} aria-hidden /> {t("shell.errors", { count })}
    </button>
  );
}

function Contents({ tab }: { readonly tab: Tab }): React.JSX.Element {
  const { t, i18n } = useTranslation();
  const selected = useStore(tab.document, (state) => state.selection.nodes.size);
  const count = useStore(tab.document, (state) => state.document.levels.get(state.path.at(-1) ?? ROOT)?.nodes.size ?? 0);
  const number = new Intl.NumberFormat(i18n.language);
  const nodes = t("shell.nodes", { count, shown: number.format(count) });
  return <span>{selected > 0 ? t("shell.selected", { shown: number.format(selected), of: nodes }) : nodes}</span>;
}

/** What a screen reader is told: the state of the run, and what commands did. */
export function LiveRegion({ tab }: { readonly tab: Tab | undefined }): React.JSX.Element {
  const announcement = useUi((state) => state.announcement);
  return (
    <div className="hidden-text" role="status" aria-live="polite">
      {announcement}
      {tab !== undefined && <RunState tab={tab} />}
    </div>
  );
}

function RunState({ tab }: { readonly tab: Tab }): React.JSX.Element {
  const { t } = useTranslation();
  const state = useStore(tab.runs, (runs) => runs.job?.state ?? "none");
  return <span>{state === "none" ? "" : t(`shell.job.${state}`)}</span>;
}
