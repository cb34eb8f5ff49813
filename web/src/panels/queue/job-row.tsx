// A job as a row of the list: pictures, name, how far it is or how it ended, and what can be done with it.

import { ArrowDown, ArrowUp, FolderOpen, RotateCcw, Trash2, X } from "lucide-react";
import { memo, useEffect } from "react";
import { useStore } from "zustand";
import { t } from "../../i18n";
import type { Client, Job, JobDetails } from "../../net";
import type { Media } from "../gallery/media";
import { mediaOf } from "../gallery/media";
import { clock, duration, errorOf, nameOf, percent, seconds } from "./format";
import type { JobsStore } from "./jobs-store";
import type { LiveJob } from "./run-controller";
import { IconButton } from "./icon-button";
import { lookAt, Picture } from "./picture";

export interface JobActions {
  readonly cancel: (id: string) => void;
  readonly remove: (id: string) => void;
  readonly retry: (id: string) => void;
  readonly move: (id: string, by: -1 | 1) => void;
  readonly open: (media: Media) => void;
  readonly openWorkflow: (id: string) => void;
  /** `range` takes everything from the one chosen last to this one. */
  readonly select: (id: string, selected: boolean, range?: boolean) => void;
}

interface JobRowProps {
  readonly job: Job;
  readonly inner: boolean;
  /** Among those that wait, from 0. */
  readonly place: number;
  readonly live: LiveJob | undefined;
  readonly selected: boolean;
  readonly jobs: JobsStore;
  readonly client: Pick<Client, "viewUrl">;
  readonly actions: JobActions;
}

const SETTLED = 150;

/** Name and files of a job; they are asked for once its row stands still. */
export function useDetails(jobs: JobsStore, id: string): JobDetails | undefined {
  const details = useStore(jobs, (state) => state.details[id]);
  useEffect(() => {
    if (details !== undefined) return;
    const timer = setTimeout(() => void jobs.getState().look(id), SETTLED);
    return () => clearTimeout(timer);
  }, [jobs, id, details]);
  return details;
}

export const JobRow = memo(function JobRow({ job, inner, place, live, selected, jobs, client, actions }: JobRowProps) {
  const name = nameOf(job, useDetails(jobs, job.id));
  return (
    <div className="job-row" data-state={job.state} data-inner={inner || undefined}>
      {job.state !== "running" && (
        <JobCheck id={job.id} name={name} selected={selected} select={actions.select} />
      )}
      <Thumb job={job} place={place} live={live} name={name} client={client} open={actions.open} />
      <div className="job-text">
        <span className="job-name" title={name}>
          {name}
        </span>
        <JobState job={job} live={live} />
      </div>
      <div className="job-actions">
        <JobButtons job={job} name={name} actions={actions} />
      </div>
    </div>
  );
});

function Thumb(props: Pick<JobRowProps, "job" | "place" | "live" | "client"> & { readonly name: string; readonly open: JobActions["open"] }) {
  const { job, place, live, name, client, open } = props;
  const all = mediaOf(job);
  const first = all.find((media) => media.kind !== "other");
  if (live?.preview !== undefined) return <img className="job-thumb" src={live.preview} alt={t("jobs.previewOf", { name })} />;
  if (job.state === "pending") return <span className="job-thumb job-place">{place + 1}</span>;
  if (first === undefined) return <span className="job-thumb" aria-hidden />;
  return (
    <button type="button" className="job-thumb" aria-label={lookAt(first, name, all.length)} onClick={() => open(first)}>
      <Picture media={first} client={client} />
      {all.length > 1 && <span className="job-many">{all.length}</span>}
    </button>
  );
}

interface JobCheckProps {
  readonly id: string;
  readonly name: string;
  readonly selected: boolean;
  readonly select: JobActions["select"];
}

export function JobCheck({ id, name, selected, select }: JobCheckProps) {
  return (
    <input
      type="checkbox"
      className="job-check"
      aria-label={t("jobs.select", { name })}
      checked={selected}
      onClick={(event) => select(id, event.currentTarget.checked, event.shiftKey)}
      onChange={() => undefined} // the click tells whether Shift is down
    />
  );
}

function JobState({ job, live }: { readonly job: Job; readonly live: LiveJob | undefined }) {
  if (job.state === "running") {
    const part = live?.progress ?? 0;
    return (
      <span className="job-state">
        {/* What runs for somebody else tells nothing of how far it is. */}
        <progress className="job-progress" {...(live === undefined ? {} : { value: part })} max={1} aria-label={t("jobs.progress")} />
        <span>{live === undefined ? t("jobs.state.running") : percent(part)}</span>
        {live?.remaining !== undefined && <span>{t("jobs.about", { time: seconds(live.remaining) })}</span>}
      </span>
    );
  }
  const error = errorOf(job);
  const took = duration(job);
  return (
    <span className="job-state" title={error}>
      <span className="job-word">{t(`jobs.state.${job.state}`)}</span>
      {error !== undefined && <span className="job-error">{error}</span>}
      <span>{clock(job.ended ?? job.created)}</span>
      {took !== undefined && <span>{took}</span>}
    </span>
  );
}

function JobButtons({ job, name, actions }: { readonly job: Job; readonly name: string; readonly actions: JobActions }) {
  const { id } = job;
  if (job.state === "running") {
    return <IconButton icon={X} label={t("jobs.cancel", { name })} onClick={() => actions.cancel(id)} />;
  }
  if (job.state === "pending") {
    return (
      <>
        <IconButton icon={ArrowUp} label={t("jobs.up", { name })} onClick={() => actions.move(id, -1)} />
        <IconButton icon={ArrowDown} label={t("jobs.down", { name })} onClick={() => actions.move(id, 1)} />
        <IconButton icon={X} label={t("jobs.unqueue", { name })} onClick={() => actions.cancel(id)} />
      </>
    );
  }
  return (
    <>
      {job.state !== "done" && (
        <IconButton icon={RotateCcw} label={t("jobs.retry", { name })} onClick={() => actions.retry(id)} />
      )}
      <IconButton icon={FolderOpen} label={t("jobs.openWorkflow", { name })} onClick={() => actions.openWorkflow(id)} />
      <IconButton icon={Trash2} label={t("jobs.remove", { name })} onClick={() => actions.remove(id)} />
    </>
  );
}
