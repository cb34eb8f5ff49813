// The jobs of the server as the panel shows them: what runs and waits, and the ended ones page by page, the newest first.
// The server is the truth: after every message of a change, and after every reconnect, it is asked again.

import { createStore, type StoreApi } from "zustand/vanilla";
import type { Client, Connection, Job, JobDetails, Queue } from "../../net";
import { isMissing } from "../../net";
import { mergeNewest, moved, span } from "./order";

export interface JobsState {
  readonly queue: Queue;
  /** Ended jobs, the newest first, as far as they are loaded. */
  readonly ended: readonly Job[];
  readonly total: number;
  /** Which of the ended jobs are listed. */
  readonly scope: Scope;
  /** How many there are, listed or not. */
  readonly counts: { readonly done: number; readonly failed: number };
  readonly loading: boolean;
  /** Why the list may be out of date. */
  readonly problem: unknown;
  /** Prompt, name and files of jobs that somebody looked at. */
  readonly details: Readonly<Record<string, JobDetails>>;
  /** Jobs that this page took out of the queue: nothing is left of them on the server to ask for. */
  readonly unqueued: ReadonlySet<string>;

  refresh(): Promise<void>;
  /** List other jobs of those that have ended. */
  show(scope: Scope): Promise<void>;
  loadMore(): Promise<void>;
  look(id: string): Promise<JobDetails | undefined>;
  /** The last job before this one that was done with the same workflow. */
  previousOf(job: Job): Promise<Job | undefined>;
  /** Stop jobs that run, take those that wait out of the queue. */
  cancel(ids: readonly string[]): Promise<void>;
  /** Delete jobs, whatever their state; those that run are stopped. */
  remove(ids: readonly string[]): Promise<void>;
  retry(id: string): Promise<void>;
  /** Move a waiting job to a place among those that wait. */
  move(id: string, to: number): Promise<void>;
  setPaused(paused: boolean): Promise<void>;
  clearWaiting(): Promise<void>;
}

export type JobsStore = StoreApi<JobsState> & { readonly close: () => void };

export type JobsClient = Pick<
  Client,
  "queue" | "jobs" | "job" | "cancel" | "unqueue" | "forget" | "retry" | "reorder" | "pause" | "resume"
>;

const PAGE = 200;
const FIRST_PAGE = 60;
const LONGEST_PAGE = 1000;
const MOST_DETAILS = 300;
const FAILED = ["failed", "cancelled", "quarantined"] as const;
const SCOPES = { all: ["done", ...FAILED], done: ["done"], failed: FAILED } as const;
export type Scope = keyof typeof SCOPES;
/** How long to wait where the line is there and questions are not answered, in milliseconds. */
const PATIENCE = 1000;
const NO_QUEUE: Queue = { paused: false, running: [], waiting: [] };

export function createJobsStore(
  client: JobsClient,
  connection: Pick<Connection, "listen" | "isOpen">,
  delay = 120,
): JobsStore {
  let asked = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const looking = new Map<string, Promise<JobDetails | undefined>>();

  const store = createStore<JobsState>()((set, get) => {
    const refresh = async (): Promise<void> => {
      const number = ++asked;
      const { scope } = get();
      const rest = scope === "failed" ? SCOPES.done : FAILED;
      try {
        const [queue, page, others] = await Promise.all([
          client.queue(),
          client.jobs({ states: SCOPES[scope], limit: FIRST_PAGE }),
          client.jobs({ states: rest, limit: 1 }),
        ]);
        if (number !== asked) return; // a later question is on its way, whose answer is newer
        const ended = mergeNewest(get().ended, page.jobs, page.total);
        const counts = countsOf(scope, page.total, others.total);
        set({ queue, ended, total: page.total, counts, problem: undefined, details: keptDetails(get().details, ended) });
      } catch (problem) {
        if (number !== asked) return;
        set({ problem });
        // Without a line the next connection asks again.
        if (connection.isOpen()) soon(PATIENCE);
      }
    };

    const act = async (work: () => Promise<unknown>): Promise<void> => {
      try {
        await work();
      } catch (problem) {
        if (!isMissing(problem)) set({ problem });
      }
      await refresh();
    };

    return {
      queue: NO_QUEUE,
      ended: [],
      total: 0,
      scope: "all",
      counts: { done: 0, failed: 0 },
      loading: false,
      problem: undefined,
      details: {},
      unqueued: new Set(),
      refresh,
      show: (scope) => {
        if (scope === get().scope) return Promise.resolve();
        // What is known already is shown at once; the rest follows.
        const states: readonly string[] = SCOPES[scope];
        const ended = get().ended.filter((job) => states.includes(job.state));
        set({ scope, ended, total: ended.length });
        return refresh();
      },
      loadMore: async () => {
        const { ended, total, loading, scope } = get();
        if (loading || ended.length >= total) return;
        set({ loading: true });
        try {
          const states = SCOPES[scope];
          const page = await client.jobs({ states, limit: PAGE, offset: ended.length });
          if (scope !== get().scope) return;
          const all = withPage(get().ended, page.jobs);
          // A job that waited long may have ended far down in the list: then the list is read anew.
          const fresh = all.length > get().ended.length || all.length >= page.total;
          const again = fresh ? undefined : await client.jobs({ states, limit: Math.min(LONGEST_PAGE, all.length + PAGE) });
          if (scope === get().scope) set({ ended: again?.jobs ?? all, total: again?.total ?? page.total });
        } catch (problem) {
          set({ problem });
        } finally {
          set({ loading: false });
        }
      },
      previousOf: async (job) => {
        const workflow = job.workflow_id ?? undefined;
        for (let [offset, total] = [0, 1]; offset < total; offset += PAGE) {
          const query = { states: SCOPES.done, limit: PAGE, offset };
          const page = await client.jobs(workflow === undefined ? query : { ...query, workflow });
          const found = page.jobs.find((other) => isBefore(other, job));
          if (found !== undefined) return found;
          total = page.total;
        }
        return undefined;
      },
      look: (id) => {
        const known = get().details[id];
        if (known !== undefined) return Promise.resolve(known);
        const found = looking.get(id) ?? lookAt(client, id);
        looking.set(id, found);
        return found.then((details) => {
          looking.delete(id);
          if (details !== undefined) set({ details: withDetails(get().details, details) });
          return details;
        });
      },
      cancel: (ids) => {
        const gone = new Set(ids);
        const queue = get().queue;
        const running = queue.running.filter((job) => gone.has(job.id));
        const waiting = ids.filter((id) => !running.some((job) => job.id === id));
        set({
          queue: { ...queue, waiting: queue.waiting.filter((job) => !gone.has(job.id)) },
          unqueued: new Set([...get().unqueued, ...waiting]),
        });
        return act(() =>
          Promise.all([
            ...running.map((job) => client.cancel(job.id)),
            ...(waiting.length === 0 ? [] : [client.unqueue(waiting)]),
          ]),
        );
      },
      remove: async (ids) => {
        const { queue } = get();
        const open = new Set([...queue.running, ...queue.waiting].map((job) => job.id));
        const over = ids.filter((id) => !open.has(id));
        const gone = new Set(over);
        const ended = get().ended.filter((job) => !gone.has(job.id));
        set({ ended, total: get().total - (get().ended.length - ended.length) });
        await Promise.all([
          over.length === 0 ? undefined : act(() => client.forget(over)),
          over.length === ids.length ? undefined : get().cancel(ids.filter((id) => open.has(id))),
        ]);
      },
      retry: (id) => act(() => client.retry(id)),
      move: (id, to) => {
        const { queue } = get();
        const ids = queue.waiting.map((job) => job.id);
        const from = ids.indexOf(id);
        if (from < 0 || from === to) return Promise.resolve();
        set({ queue: { ...queue, waiting: moved(queue.waiting, from, to) } });
        return act(() => client.reorder(span(moved(ids, from, to), from, to)));
      },
      setPaused: (paused) => act(async () => set({ queue: await (paused ? client.pause() : client.resume()) })),
      clearWaiting: () => get().cancel(get().queue.waiting.map((job) => job.id)),
    };
  });

  const soon = (wait = delay): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      void store.getState().refresh();
    }, wait);
  };
  const stop = connection.listen((heard) => {
    if (heard.kind === "open") void store.getState().refresh();
    if (heard.kind === "message" && heard.type === "status") soon();
  });

  // The line may have been there before this was.
  if (connection.isOpen()) void store.getState().refresh();

  return Object.assign(store, {
    close: () => {
      stop();
      clearTimeout(timer);
    },
  });
}

async function lookAt(client: JobsClient, id: string): Promise<JobDetails | undefined> {
  try {
    return await client.job(id);
  } catch {
    return undefined; // it was deleted, or the list that is fetched next says what is the matter
  }
}

function withDetails(all: JobsState["details"], details: JobDetails): JobsState["details"] {
  const kept = Object.entries(all).slice(-MOST_DETAILS);
  return Object.fromEntries([...kept, [details.id, details]]);
}

/** A job that was tried again has other files than before. */
function keptDetails(all: JobsState["details"], ended: readonly Job[]): JobsState["details"] {
  const states = new Map(ended.map((job) => [job.id, `${job.state}${job.attempt}`]));
  const entries = Object.entries(all);
  const fresh = entries.filter(([id, job]) => (states.get(id) ?? `${job.state}${job.attempt}`) === `${job.state}${job.attempt}`);
  return fresh.length === entries.length ? all : Object.fromEntries(fresh);
}

const countsOf = (scope: Scope, total: number, others: number): JobsState["counts"] => {
  if (scope === "all") return { done: total - others, failed: others };
  return scope === "done" ? { done: total, failed: others } : { done: others, failed: total };
};

function withPage(known: readonly Job[], page: readonly Job[]): readonly Job[] {
  const ids = new Set(known.map((job) => job.id));
  return [...known, ...page.filter((job) => !ids.has(job.id))];
}

const isBefore = (one: Job, other: Job): boolean =>
  one.created < other.created || (one.created === other.created && one.number < other.number);
