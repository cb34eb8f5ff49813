// What the list of jobs shows, as rows of known heights, so that ten thousand jobs cost no more than those in sight.

import type { Job, Queue } from "../../net";
import { runOf } from "../../net";
import type { Media, MediaFilter } from "../gallery/media";
import { allMedia, mediaOf, passes } from "../gallery/media";
import { groupByRun } from "./order";

export const TABS = ["all", "waiting", "running", "done", "failed"] as const;
export type JobsTab = (typeof TABS)[number];

export interface JobsView {
  readonly tab: JobsTab;
  readonly layout: "list" | "grid";
  readonly media: MediaFilter;
  readonly grouped: boolean;
  /** Runs whose jobs are shown one by one. */
  readonly openRuns: ReadonlySet<string>;
}

export const FIRST_VIEW: JobsView = {
  tab: "all",
  layout: "list",
  media: "all",
  grouped: true,
  openRuns: new Set(),
};

export type Section = "running" | "waiting" | "ended";
export type Row =
  | { readonly kind: "title"; readonly key: string; readonly section: Section; readonly count: number }
  | {
      readonly kind: "job";
      readonly key: string;
      readonly section: Section;
      readonly job: Job;
      readonly place: number;
      readonly inner: boolean;
    }
  | { readonly kind: "run"; readonly key: string; readonly run: string; readonly jobs: readonly Job[]; readonly open: boolean }
  | { readonly kind: "tiles"; readonly key: string; readonly media: readonly Media[] };

export const HEIGHTS: Readonly<Record<Row["kind"], number>> = { title: 32, job: 64, run: 64, tiles: 120 };

/** What a tab shows; where it shows several kinds of jobs, each under its title. */
export function rowsOf(queue: Queue, ended: readonly Job[], total: number, view: JobsView, columns: number): Row[] {
  const { tab, media } = view;
  const titled = (section: Section, count: number, rows: readonly Row[]): Row[] =>
    tab !== "all" || count === 0 ? [...rows] : [{ kind: "title", key: `title-${section}`, section, count }, ...rows];
  const isShown = (section: Section): boolean =>
    tab === "all" || tab === section || (section === "ended" && (tab === "done" || tab === "failed"));
  const shown = isShown("ended") ? ended.filter((job) => media === "all" || hasMedia(job, media)) : [];
  const count = media === "all" ? total : shown.length;
  return [
    ...(isShown("running") ? titled("running", queue.running.length, queue.running.map(jobRow("running"))) : []),
    ...(isShown("waiting") ? titled("waiting", queue.waiting.length, queue.waiting.map(jobRow("waiting"))) : []),
    ...titled("ended", shown.length === 0 ? 0 : count, view.layout === "grid" ? tileRows(shown, view, columns) : endedRows(shown, view)),
  ];
}

const hasMedia = (job: Job, filter: MediaFilter): boolean => mediaOf(job).some((media) => passes(media, filter));

const jobRow =
  (section: Section, inner = false) =>
  (job: Job, place: number): Row => ({ kind: "job", key: job.id, section, job, place, inner });

function endedRows(jobs: readonly Job[], view: JobsView): Row[] {
  if (!view.grouped) return jobs.map(jobRow("ended"));
  return groupByRun(jobs).flatMap((group): Row[] => {
    const first = group[0];
    if (first === undefined || group.length === 1) return group.map(jobRow("ended"));
    const run = runOf(first.id);
    const open = view.openRuns.has(run);
    const inner = open ? group.map(jobRow("ended", true)) : [];
    return [{ kind: "run", key: `run-${run}`, run, jobs: group, open }, ...inner];
  });
}

function tileRows(jobs: readonly Job[], view: JobsView, columns: number): Row[] {
  const media = allMedia(jobs, view.media);
  const rows: Row[] = [];
  for (let at = 0; at < media.length; at += columns) {
    const part = media.slice(at, at + columns);
    rows.push({ kind: "tiles", key: `tiles-${part[0]?.key ?? at}`, media: part });
  }
  return rows;
}

/** The jobs in rows, in their order: what Shift selects is what lies between two of them. */
export const jobsIn = (rows: readonly Row[]): Job[] =>
  rows.flatMap((row) => {
    if (row.kind === "job") return [row.job];
    if (row.kind === "run") return row.open ? [] : row.jobs;
    return row.kind === "tiles" ? [...new Set(row.media.map((media) => media.job))] : [];
  });

/** The ids from one to the other, both with them. */
export function between(rows: readonly Row[], from: string, to: string): string[] {
  const ids = [...new Set(jobsIn(rows).map((job) => job.id))];
  const [one, other] = [ids.indexOf(from), ids.indexOf(to)];
  return one < 0 || other < 0 ? [to] : ids.slice(Math.min(one, other), Math.max(one, other) + 1);
}
