// One item of the status bar: what runs, how long it will take, what waits, how much memory is in use.

import { useSyncExternalStore } from "react";
import { useStore, type StoreApi } from "zustand";
import { t } from "../../i18n";
import { bytes, percent, seconds } from "./format";
import type { JobsStore } from "./jobs-store";
import type { MemoryStore } from "./memory";
import type { LiveJob, LiveState } from "./run-controller";
import "./queue.css";

export interface JobsStatusProps {
  readonly jobs: JobsStore;
  readonly live: StoreApi<LiveState>;
  readonly memory: MemoryStore;
  readonly connected: boolean;
  readonly onOpen: () => void;
}

export function JobsStatus({ jobs, live, memory, connected, onOpen }: JobsStatusProps) {
  const waiting = useStore(jobs, (state) => state.queue.waiting.length);
  const isRunning = useStore(jobs, (state) => state.queue.running.length > 0);
  const atWork = useStore(live, (state) => runningOf(state));
  const remaining = useStore(live, (state) => remainingOf(state));
  const used = useSyncExternalStore(memory.subscribe, memory.get);
  return (
    <button type="button" className="jobs-status" title={t("jobs.status.open")} data-offline={!connected || undefined} onClick={onOpen}>
      {!connected && <span>{t("jobs.status.offline")}</span>}
      {connected && !isRunning && waiting === 0 && <span>{t("jobs.status.idle")}</span>}
      {isRunning && (
        <>
          <progress className="job-progress" value={atWork?.progress ?? 0} max={1} aria-label={t("jobs.progress")} />
          <span>{t("jobs.status.running", { percent: percent(atWork?.progress ?? 0) })}</span>
        </>
      )}
      {waiting > 0 && <span>{t("jobs.status.waiting", { count: waiting })}</span>}
      {remaining !== undefined && <span>{t("jobs.about", { time: seconds(remaining) })}</span>}
      {used !== undefined && (
        <span title={t("jobs.status.memory", { name: used.name, used: bytes(used.used), total: bytes(used.total) })}>
          {bytes(used.used)} / {bytes(used.total)}
        </span>
      )}
    </button>
  );
}

export const runningOf = ({ jobs }: LiveState): LiveJob | undefined =>
  Object.values(jobs).find((job) => job.state === "running");

/** The seconds until everything of this page is done; undefined if of any job it cannot be said. */
export function remainingOf({ jobs }: LiveState): number | undefined {
  const all = Object.values(jobs);
  if (all.length === 0 || all.some((job) => job.remaining === undefined)) return undefined;
  return all.reduce((sum, job) => sum + (job.remaining ?? 0), 0);
}
