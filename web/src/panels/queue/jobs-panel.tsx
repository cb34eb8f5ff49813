// The panel of jobs as the shell places it.

import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { messageOf, notify } from "../../commands/notify";
import { writeJson } from "../../model/json";
import type { JobDetails } from "../../net";
import { useEditor, type Editor } from "../shell/editor";
import { nameOf } from "./format";
import { JobsBoard } from "./jobs-board";
import { workflowOf } from "./workflow-of";

export function JobsPanel(): React.JSX.Element {
  const { i18n } = useTranslation();
  const editor = useEditor();
  const { jobs, runs, client } = editor;
  useEffect(() => {
    void jobs.getState().show("all");
  }, [jobs]);
  // Rows are drawn anew only for a reason of their own, and another language is none: so they begin again.
  return <JobsBoard key={i18n.language} jobs={jobs} live={runs.live} client={client} onOpenWorkflow={(job) => void openJob(editor, job)} />;
}

async function openJob({ services, ui }: Editor, job: JobDetails): Promise<void> {
  const name = nameOf(job, job);
  try {
    await services.files.openText(writeJson(workflowOf(job)), name);
    if (window.innerWidth < 640) ui.getState().show(undefined);
  } catch (error) {
    notify(messageOf(error), { tone: "error" });
  }
}
