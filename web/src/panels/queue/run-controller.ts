// Ties tabs to their jobs: sends what a tab shows, hears what becomes of it, and writes that into the tab's run state.

import { createStore, type StoreApi } from "zustand/vanilla";
import { shownOn, withSinks } from "../../model/convert";
import type { JsonObject } from "../../model/json";
import type { Client, Connection, Job, JobRun, PreviewMethod } from "../../net";
import { isEnded, jobIds, progressOf, UnreachableError } from "../../net";
import type { NodeRun } from "../../state/runs";
import type { Tab, WorkspaceStore } from "../../state/workspace";
import type { Errors } from "../errors/describe";
import { describeFailure, describeFaults, describeNote, describeRefusal, merged, WHOLE } from "../errors/describe";
import type { Estimates } from "./estimate";
import type { JobsStore } from "./jobs-store";
import type { Tracked } from "./tracker";
import { createTracker } from "./tracker";

/** A tab as the server can run it. */
export interface Converted {
  readonly prompt: JsonObject;
  readonly workflow: JsonObject;
  readonly origins?: unknown;
}

export interface QueueOptions {
  readonly front?: boolean;
  readonly count?: number;
  /** Server ids of the nodes to run; all outputs without them. */
  readonly targets?: readonly string[];
  readonly previewMethod?: PreviewMethod;
}

export interface Queued {
  /** The jobs that were accepted. */
  readonly ids: readonly string[];
  /** Why the rest was not, if so. */
  readonly refused?: unknown;
}

/** What is known of the jobs at work, by id. */
export interface LiveJob {
  readonly progress: number;
  readonly state: "waiting" | "running";
  /** The node at work. */
  readonly node?: string;
  /** Seconds until it is done, if that can be said. */
  readonly remaining?: number;
  readonly preview?: string;
}
export interface LiveState {
  readonly jobs: Readonly<Record<string, LiveJob>>;
}

export interface JobEnd {
  readonly id: string;
  readonly tab: Tab | undefined;
  readonly state: "done" | "failed" | "cancelled" | "quarantined";
  readonly progress: number;
}

export interface RunController {
  readonly live: StoreApi<LiveState>;
  /** Send a tab's workflow, `count` times; each time it is converted anew, after the values were counted on. */
  queue(tab: Tab, options?: QueueOptions): Promise<Queued>;
  /** Stop the job of the tab that runs; if none runs, take the first that waits out of the queue. */
  cancel(tab: Tab): Promise<void>;
  /** Take everything that waits out of the queue. */
  clear(): Promise<void>;
  /** After a workflow was opened: follow its jobs that are at work, else show what the last one made. */
  attach(tab: Tab): Promise<void>;
  /** A tab was closed. */
  detach(tabId: string): void;
  close(): void;
}

export interface RunControllerOptions {
  readonly client: Client;
  readonly connection: Connection;
  readonly workspace: WorkspaceStore;
  readonly jobs: JobsStore;
  readonly toPrompt: (tab: Tab) => Converted | Promise<Converted>;
  /** After each job that was accepted: seeds count on. */
  readonly afterQueued?: (tab: Tab) => void;
  readonly previewMethod?: () => PreviewMethod;
  readonly estimates?: Estimates;
  readonly onEnded?: (end: JobEnd) => void;
  /** How long changes are gathered before they are written, in milliseconds. */
  readonly pace?: number;
}

interface TabRuns {
  readonly jobs: Set<string>;
  shown: string | undefined;
  /** What was wrong with what was sent last. */
  refused: Errors;
  /** What nodes showed last; it stays until there is something newer. */
  readonly outputs: Map<string, JsonObject>;
}

export function createRunController(options: RunControllerOptions): RunController {
  const { client, connection, workspace, jobs, estimates, pace = 33 } = options;
  const live = createStore<LiveState>()(() => ({ jobs: {} }));
  const tabs = new Map<string, TabRuns>();
  const changed = new Set<string>();
  const foreign = new AbortController();
  const followed = new Set<string>();
  /** Jobs of tabs that have ended, and whose end was told. */
  const told = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const tabOf = (job: string): string | undefined => {
    for (const [id, runs] of tabs) if (runs.jobs.has(job)) return id;
    return undefined;
  };
  const runsOf = (tab: string): TabRuns => {
    const known = tabs.get(tab) ?? { jobs: new Set(), shown: undefined, refused: {}, outputs: new Map() };
    tabs.set(tab, known);
    return known;
  };
  const openTab = (id: string | undefined): Tab | undefined => workspace.getState().tabs.find((tab) => tab.id === id);

  const touch = (job: string): void => {
    changed.add(job);
    timer ??= setTimeout(flush, pace);
  };

  const tracker = createTracker({
    client,
    connection,
    onChange: touch,
    onEnded: (tracked) => ended(tracked),
    onStranger: (id) => void adopt(id).catch(ignore),
  });

  const flush = (): void => {
    timer = undefined;
    const touched = new Set([...changed].map(tabOf).filter((id) => id !== undefined));
    changed.clear();
    for (const id of touched) show(id);
    live.setState({ jobs: Object.fromEntries(tracker.active().map((tracked) => [tracked.run.id, liveJob(tracked, estimates)])) });
  };

  /** Write what is known of a tab's jobs into it. */
  const show = (tabId: string): void => {
    const [tab, runs] = [openTab(tabId), runsOf(tabId)];
    if (tab === undefined) return;
    const followed = [...runs.jobs].map((id) => tracker.get(id)).filter((tracked) => tracked !== undefined);
    const running = followed.find(({ run }) => run.state === "running");
    const waiting = followed.find(({ run }) => run.state === "pending");
    const shown = running ?? latest(followed) ?? waiting;
    runs.shown = shown?.run.id;
    const at = running ?? waiting;
    tab.runs.setState({
      nodes: nodesOf(shown?.run.nodes ?? {}, runs.outputs, tab.runs.getState().nodes),
      errors: merged(runs.refused, shown === undefined ? {} : errorsOf(shown)),
      job:
        at === undefined
          ? undefined
          : { id: at.run.id, state: at === running ? "running" : "waiting", progress: progressOf(at.run) },
    } as Partial<ReturnType<typeof tab.runs.getState>>);
    drop(runs, (id) => id === runs.shown);
  };

  /** Follow jobs no longer whose end is known and told, but for those to keep. */
  const drop = (runs: TabRuns, keeps: (id: string) => boolean): void => {
    for (const id of runs.jobs) {
      if (!told.has(id) || keeps(id)) continue;
      runs.jobs.delete(id);
      told.delete(id);
      tracker.forget(id);
    }
  };

  const ended = ({ run, prompt }: Tracked): void => {
    const tabId = tabOf(run.id);
    if (tabId === undefined) tracker.forget(run.id);
    else told.add(run.id);
    touch(run.id);
    if (run.state === "done") estimates?.learn(prompt, run.nodes);
    if (isEnded(run.state)) {
      options.onEnded?.({ id: run.id, tab: openTab(tabId), state: run.state as JobEnd["state"], progress: progressOf(run) });
    }
  };

  const claim = (tab: Tab, job: string): void => {
    runsOf(tab.id).jobs.add(job);
  };

  /** Follow a job of the queue that this page did not send just now: for its tab if it has one. */
  const adopt = async (id: string, workflow?: string | null): Promise<void> => {
    const about = workflow === undefined ? (await client.job(id)).workflow_id : workflow;
    const tab = about === null || about === undefined ? undefined : tabWith(workspace, about);
    if (tab !== undefined) claim(tab, id);
    await tracker.adopt(id);
    touch(id);
  };

  const follow = async (id: string): Promise<void> => {
    if (followed.has(id)) return;
    followed.add(id);
    let after = 0;
    try {
      for (let over = false; !over; ) {
        const page = await client.events(id, after, 20, foreign.signal);
        after = page.events.at(-1)?.number ?? after;
        over = page.ended || tracker.get(id) === undefined;
        await tracker.sync(id);
        await new Promise((done) => setTimeout(done, FOREIGN_PACE));
      }
    } catch {
      // the line is down, or the page goes: the next look at the queue begins again
    } finally {
      followed.delete(id);
    }
  };

  /** Follow a job no longer of which nothing is left; should it have begun after all, the queue still has it. */
  const leave = (id: string): void => {
    const tabId = tabOf(id);
    tracker.forget(id);
    touch(id);
    if (tabId === undefined) return;
    runsOf(tabId).jobs.delete(id);
    show(tabId);
  };

  /** The queue as it is now: jobs that left it have ended, jobs that came into it may belong to a tab. */
  const reconcile = (running: readonly Job[], waiting: readonly Job[]): void => {
    const there = new Set([...running, ...waiting].map((job) => job.id));
    const { unqueued } = jobs.getState();
    for (const { run } of tracker.active()) {
      if (there.has(run.id) || sending.has(run.id)) continue;
      if (unqueued.has(run.id)) leave(run.id);
      else void tracker.sync(run.id);
    }
    take([...running, ...waiting]);
  };
  const take = (queued: readonly Job[]): void => {
    for (const job of queued) {
      const isOurs = job.client_id === client.clientId || hasTab(workspace, job.workflow_id);
      // What runs for somebody else is followed too, so that the list can say how far it is.
      if (!isOurs && job.state !== "running") continue;
      const known = tracker.get(job.id) === undefined ? adopt(job.id, job.workflow_id ?? null) : undefined;
      // It is told to that page only, so it is asked for; one at a time, connections are few.
      const asks = job.state === "running" && job.client_id !== client.clientId && followed.size === 0;
      if (known !== undefined || asks) void Promise.resolve(known).then(() => (asks ? follow(job.id) : undefined)).catch(ignore);
    }
  };
  const stop = jobs.subscribe((state, before) => {
    if (state.queue !== before.queue) reconcile(state.queue.running, state.queue.waiting);
  });

  const sending = new Set<string>();

  const sinksOf = (prompt: JsonObject, targets: readonly string[] | undefined): { prompt: JsonObject; targets?: readonly string[] } =>
    targets === undefined ? { prompt } : withSinks(prompt, targets, workspace.getState().types);

  const send = async (tab: Tab, id: string, how: QueueOptions): Promise<void> => {
    const { prompt: whole, workflow } = await options.toPrompt(tab);
    const { front } = how;
    const { prompt, targets } = sinksOf(whole, how.targets);
    const previewMethod = how.previewMethod ?? options.previewMethod?.();
    sending.add(id);
    tracker.add(id, prompt, targets);
    claim(tab, id);
    try {
      const answer = await sendTwice(() =>
        client.submit(prompt, {
          id,
          workflow,
          name: tab.title,
          ...(front === undefined ? {} : { front }),
          ...(targets === undefined ? {} : { targets }),
          ...(previewMethod === undefined ? {} : { previewMethod }),
        }),
      );
      runsOf(tab.id).refused = describeFaults(answer.faults, workspace.getState().types);
    } catch (error) {
      tracker.forget(id);
      runsOf(tab.id).jobs.delete(id);
      throw error;
    } finally {
      sending.delete(id);
      show(tab.id);
      touch(id);
    }
    options.afterQueued?.(tab);
  };

  return {
    live,
    queue: async (tab, how = {}) => {
      const ids: string[] = [];
      const runs = runsOf(tab.id);
      runs.refused = {};
      // What the last run said of its nodes is over; what they showed stays.
      drop(runs, () => false);
      try {
        for (const id of jobIds(how.count ?? 1)) {
          await send(openTab(tab.id) ?? tab, id, how);
          ids.push(id);
        }
      } catch (refused) {
        runsOf(tab.id).refused = describeRefusal(refused, workspace.getState().types);
        show(tab.id);
        return { ids, refused };
      }
      return { ids };
    },
    cancel: async (tab) => {
      const own = [...runsOf(tab.id).jobs].map((id) => tracker.get(id)?.run).filter((run) => run !== undefined);
      const target = own.find((run) => run.state === "running") ?? own.find((run) => run.state === "pending");
      if (target !== undefined) await client.cancel(target.id);
    },
    clear: () => jobs.getState().clearWaiting(),
    attach: async (tab) => {
      const { id } = tab.document.getState().document;
      const { queue } = jobs.getState();
      const own = [...queue.running, ...queue.waiting].filter((job) => job.workflow_id === id && tabOf(job.id) === undefined);
      for (const job of own) await adopt(job.id, id);
      if (own.length > 0 || id === "") return;
      const last = (await client.jobs({ workflow: id, states: ["done"], limit: 1 })).jobs[0];
      if (last === undefined || runsOf(tab.id).shown !== undefined) return;
      const outputs = Object.entries(last.outputs).map(([node, output]) => [shownOn(node), output] as const);
      for (const [node, output] of outputs) runsOf(tab.id).outputs.set(node, output);
      const nodes = outputs.map(([node, output]): [string, NodeRun] => [node, { state: "done", output }]);
      tab.runs.getState().set({ nodes: Object.fromEntries(nodes) });
    },
    detach: (tabId) => {
      for (const id of tabs.get(tabId)?.jobs ?? []) if (isEnded(tracker.get(id)?.run.state ?? "done")) tracker.forget(id);
      tabs.delete(tabId);
    },
    close: () => {
      stop();
      clearTimeout(timer);
      foreign.abort();
      tracker.close();
    },
  };
}

/** Between two looks at a job of somebody else, in milliseconds. */
const FOREIGN_PACE = 400;

const ignore = (): void => undefined;

/** Sending the same id twice is harmless, so an answer that was lost costs nothing. */
async function sendTwice<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnreachableError) return work();
    throw error;
  }
}

const tabWith = (workspace: WorkspaceStore, workflow: string): Tab | undefined =>
  workspace.getState().tabs.find((tab) => tab.document.getState().document.id === workflow);
const hasTab = (workspace: WorkspaceStore, workflow: string | null | undefined): boolean =>
  workflow !== null && workflow !== undefined && tabWith(workspace, workflow) !== undefined;

/** The nodes of a job, with what they showed before where they show nothing yet; what is the same stays the same object. */
function nodesOf(run: JobRun["nodes"], outputs: Map<string, JsonObject>, before: Readonly<Record<string, NodeRun>>): Record<string, NodeRun> {
  const nodes: Record<string, NodeRun> = {};
  for (const [id, node] of Object.entries(run)) if (node.output !== undefined) outputs.set(shownOn(id), node.output);
  for (const [id, node] of Object.entries(run)) {
    if (shownOn(id) !== id) continue;
    const output = outputs.get(id);
    const next = node.output !== undefined || output === undefined ? node : { ...node, output };
    const old = before[id];
    nodes[id] = old !== undefined && sameRun(old, next) ? old : next;
  }
  for (const [id, output] of outputs) nodes[id] ??= before[id]?.output === output ? (before[id] as NodeRun) : { state: "done", output };
  return nodes;
}

/** Of the jobs that have ended the one that started last; jobs may end in another order than one hears of it. */
const latest = (jobs: readonly Tracked[]): Tracked | undefined =>
  jobs
    .filter(({ run, turn }) => isEnded(run.state) && turn > 0)
    .sort((one, other) => other.turn - one.turn)[0];

const sameRun = (one: NodeRun, other: NodeRun): boolean =>
  (["state", "value", "max", "preview", "seconds", "output"] as const).every((name) => one[name] === other[name]);

function errorsOf({ run }: Tracked): Errors {
  const notes = Object.entries(run.notes).map(([node, messages]) => [node, messages.map(describeNote)] as const);
  const failure: Errors = run.failure === undefined ? {} : { [run.failure.node ?? WHOLE]: [describeFailure(run.failure)] };
  return merged(failure, Object.fromEntries(notes));
}

function liveJob(tracked: Tracked, estimates: Estimates | undefined): LiveJob {
  const { run, prompt } = tracked;
  const at = Object.entries(run.nodes).find(([, node]) => node.state === "running");
  const preview = Object.values(run.nodes).find((node) => node.preview !== undefined)?.preview;
  const remaining = estimates?.remaining(prompt, run);
  return {
    progress: progressOf(run),
    state: run.state === "running" ? "running" : "waiting",
    ...(at === undefined ? {} : { node: at[0] }),
    ...(preview === undefined ? {} : { preview }),
    ...(remaining === undefined ? {} : { remaining }),
  };
}
