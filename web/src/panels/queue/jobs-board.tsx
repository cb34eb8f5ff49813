// Queue, history and gallery in one panel: what runs, what waits, and everything that was made.

import { useState } from "react";
import { useStore, type StoreApi } from "zustand";
import { t } from "../../i18n";
import type { Client, Job, JobDetails } from "../../net";
import { saidBy } from "../errors/describe";
import { Lightbox } from "../gallery/lightbox";
import type { Media } from "../gallery/media";
import { allMedia, mediaOf, passes } from "../gallery/media";
import { download } from "./download";
import type { JobActions } from "./job-row";
import { JobsList } from "./jobs-list";
import type { JobsStore } from "./jobs-store";
import { JobsTabs, JobsToolbar } from "./jobs-toolbar";
import type { JobsTab, JobsView } from "./rows";
import type { LiveState } from "./run-controller";
import { readView, writeView } from "./view";
import "./queue.css";

export interface JobsBoardProps {
  readonly jobs: JobsStore;
  readonly live: StoreApi<LiveState>;
  readonly client: Pick<Client, "viewUrl">;
  readonly onOpenWorkflow: (job: JobDetails) => void;
}

interface Looking {
  readonly key: string;
  readonly beside?: string;
}

const NONE: ReadonlySet<string> = new Set();

export function JobsBoard({ jobs, live, client, onOpenWorkflow }: JobsBoardProps): React.JSX.Element {
  const [view, setWholeView] = useState<JobsView>(readView);
  const [selected, setSelected] = useState(NONE);
  const [looking, setLooking] = useState<Looking>();
  const queue = useStore(jobs, (state) => state.queue);
  const counts = useStore(jobs, (state) => state.counts);
  const problem = useStore(jobs, (state) => state.problem);
  const store = jobs.getState();

  const setView = (change: Partial<JobsView>): void => {
    const next = { ...view, ...change };
    setWholeView(next);
    writeView(next);
  };
  const setTab = (tab: JobsTab): void => {
    setView({ tab });
    setSelected(NONE);
    void store.show(tab === "done" || tab === "failed" ? tab : "all");
  };
  const openWorkflow = (id: string): void => {
    void store.look(id).then((details) => {
      if (details !== undefined) onOpenWorkflow(details);
    });
  };
  const remove = (ids: readonly string[]): void => {
    setSelected(NONE);
    void store.remove(ids);
  };
  // Made anew only with the stores, so that rows stay as they are while others change.
  const [actions] = useState<Omit<JobActions, "select">>(() => ({
    cancel: (id) => void store.cancel([id]),
    remove: (id) => void store.remove([id]),
    retry: (id) => void store.retry(id),
    move: (id, by) => {
      const { waiting } = jobs.getState().queue;
      const place = waiting.findIndex((job) => job.id === id) + by;
      if (place >= 0 && place < waiting.length) void store.move(id, place);
    },
    open: (media) => setLooking({ key: media.key }),
    openWorkflow,
  }));
  const [choose] = useState(() => (ids: readonly string[], on: boolean) => {
    setSelected((before) => {
      const next = new Set(before);
      for (const id of ids) if (on) next.add(id);
      else next.delete(id);
      return next;
    });
  });

  const chosen = (): Media[] =>
    jobs.getState().ended.filter((job) => selected.has(job.id)).flatMap((job) => mediaOf(job).filter((one) => passes(one, view.media)));
  const pair = selected.size === 2 ? pairOf(jobs.getState().ended, selected) : undefined;

  return (
    <section className="jobs-panel" aria-label={t("jobs.title")}>
      <JobsTabs
        tab={view.tab}
        counts={{ all: 0, waiting: queue.waiting.length, running: queue.running.length, ...counts }}
        setTab={setTab}
      />
      <JobsToolbar
        view={view}
        setView={setView}
        paused={queue.paused}
        setPaused={(paused) => void store.setPaused(paused)}
        waiting={queue.waiting.length}
        clear={() => void store.clearWaiting()}
        selected={selected.size}
        unselect={() => setSelected(NONE)}
        remove={() => remove([...selected])}
        download={() => void download(chosen(), client)}
        compare={pair === undefined ? undefined : () => setLooking({ key: pair[1], beside: pair[0] })}
      />
      {queue.paused && <p className="jobs-say">{t("jobs.paused")}</p>}
      {problem !== undefined && (
        <p className="jobs-say" data-tone="error" role="alert">
          {saidBy(problem)}
        </p>
      )}
      <JobsList
        {...{ jobs, live, client, view, selected, actions, choose, remove }}
        toggleRun={(run) => {
          const openRuns = new Set(view.openRuns);
          if (!openRuns.delete(run)) openRuns.add(run);
          setView({ openRuns });
        }}
      />
      {looking !== undefined && (
        <OpenLightbox
          {...{ jobs, client, view, looking }}
          onClose={() => setLooking(undefined)}
          onRemove={(id) => remove([id])}
          onOpenWorkflow={(id) => {
            setLooking(undefined);
            openWorkflow(id);
          }}
        />
      )}
    </section>
  );
}

interface OpenProps extends Pick<JobsBoardProps, "jobs" | "client"> {
  readonly view: JobsView;
  readonly looking: Looking;
  readonly onClose: () => void;
  readonly onRemove: (id: string) => void;
  readonly onOpenWorkflow: (id: string) => void;
}

function OpenLightbox({ jobs, client, view, looking, onClose, onRemove, onOpenWorkflow }: OpenProps): React.JSX.Element {
  const { running, waiting } = useStore(jobs, (state) => state.queue);
  const ended = useStore(jobs, (state) => state.ended);
  const filter = looking.beside === undefined ? view.media : "all";
  const [onEnd] = useState(() => () => void jobs.getState().loadMore());
  return (
    <Lightbox
      media={allMedia([...running, ...waiting, ...ended], filter)}
      start={looking.key}
      {...(looking.beside === undefined ? {} : { beside: looking.beside })}
      client={client}
      jobs={jobs.getState()}
      onEnd={onEnd}
      onClose={onClose}
      onRemove={onRemove}
      onOpenWorkflow={onOpenWorkflow}
    />
  );
}

/** The pictures of two chosen jobs, the older first; undefined if one of them made none. */
function pairOf(ended: readonly Job[], selected: ReadonlySet<string>): readonly [string, string] | undefined {
  const pictures = ended.filter((job) => selected.has(job.id)).map((job) => mediaOf(job).find((media) => media.kind === "image"));
  const [newer, older] = pictures;
  return newer === undefined || older === undefined ? undefined : [older.key, newer.key];
}
