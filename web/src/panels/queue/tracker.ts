// Follows jobs: from the socket while it is there, and from the numbered events after it was not.

import type { JsonObject } from "../../model/json";
import type { Client, Connection, Heard, JobDetails, JobRun, RunEvent } from "../../net";
import {
  catchUp,
  createPreviewUrls,
  eventsOf,
  eventsOfOwn,
  inferDone,
  isEnded,
  isMissing,
  neededNodes,
  progressOf,
  readFailure,
  reduceAll,
  reduceRun,
  waitingRun,
} from "../../net";
import type { PreviewUrls } from "../../net";

export interface Tracked {
  readonly run: JobRun;
  readonly prompt: JsonObject;
  readonly targets: readonly string[] | undefined;
  /** Jobs in the order in which they started; 0 for one that waits, or was cancelled while it did. */
  readonly turn: number;
}

export interface Tracker {
  get(id: string): Tracked | undefined;
  active(): readonly Tracked[];
  /** Follow a job that was just sent. */
  add(id: string, prompt: JsonObject, targets?: readonly string[]): void;
  /** Follow a job that is on the server: read what happened so far. */
  adopt(id: string): Promise<Tracked | undefined>;
  /** Read the truth of a job again. */
  sync(id: string): Promise<void>;
  forget(id: string): void;
  close(): void;
}

export interface TrackerOptions {
  readonly client: Pick<Client, "job" | "events">;
  readonly connection: Pick<Connection, "listen" | "isOpen">;
  readonly onChange: (id: string) => void;
  /** A job ended; its seconds and files are known by now. */
  readonly onEnded: (tracked: Tracked) => void;
  /** Something was heard of a job that nobody follows. */
  readonly onStranger: (id: string) => void;
  readonly previews?: PreviewUrls;
}

const ROUNDS = 4;
/** How long to wait where the line is there and questions are not answered, in milliseconds. */
const PATIENCE = 1000;

export function createTracker(options: TrackerOptions): Tracker {
  const { client, connection, onChange, onEnded, previews = createPreviewUrls() } = options;
  const jobs = new Map<string, Tracked>();
  /** Events that came while the truth of a job was read. */
  const syncing = new Map<string, RunEvent[]>();
  const toldEnd = new Set<string>();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let turns = 0;

  const put = (id: string, change: Partial<Tracked>): void => {
    const known = jobs.get(id) ?? { run: waitingRun(id), prompt: {}, targets: undefined, turn: 0 };
    const changed = { ...known, ...change };
    const isIdle = changed.run.state === "pending" || (changed.run.state === "cancelled" && known.run.state === "pending");
    const starts = changed.turn === 0 && !isIdle;
    const next = starts ? { ...changed, turn: ++turns } : changed;
    jobs.set(id, next);
    if (isEnded(next.run.state)) previews.dropAll(`${id}/`);
    if (next.run !== known.run) onChange(id);
  };

  const hear = (id: string, events: readonly RunEvent[]): void => {
    const known = jobs.get(id);
    if (known === undefined) return;
    syncing.get(id)?.push(...events);
    const isAgain = isEnded(known.run.state) && events.some((event) => event.kind === "started");
    if (isAgain) toldEnd.delete(id);
    put(id, { run: reduceAll(known.run, events), ...(isAgain ? { turn: 0 } : {}) });
    if (isEnded(known.run.state)) return;
    if (events.some((event) => event.kind === "ended") && !syncing.has(id)) void sync(id);
  };

  const sync = async (id: string): Promise<void> => {
    const known = jobs.get(id);
    if (known === undefined || syncing.has(id)) return;
    const late: RunEvent[] = [];
    syncing.set(id, late);
    try {
      const truth = await readTruth(client, id, known);
      const run = late.reduce(catchUp, truth);
      // A job may have been forgotten meanwhile.
      if (jobs.has(id)) put(id, { run: withPreviews(run, jobs.get(id)?.run) });
    } catch (error) {
      if (isMissing(error)) put(id, { run: reduceRun(known.run, { kind: "ended", state: "cancelled" }) });
      else if (connection.isOpen()) later(id);
      // else the line is down: the next connection asks again
    } finally {
      syncing.delete(id);
    }
    const now = jobs.get(id);
    if (now !== undefined && isEnded(now.run.state) && !toldEnd.has(id)) {
      toldEnd.add(id);
      onEnded(now);
    }
  };

  const later = (id: string): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      void sync(id);
    }, PATIENCE);
    timers.add(timer);
  };

  const onPreview = (heard: Extract<Heard, { readonly kind: "preview" }>): void => {
    const { picture } = heard.preview;
    const id = heard.preview.job ?? active()[0]?.run.id;
    const run = id === undefined ? undefined : jobs.get(id)?.run;
    if (id === undefined || run === undefined) return;
    const node = heard.preview.node ?? nodeAtWork(run);
    if (node === undefined || isEnded(run.state)) return;
    hear(id, [{ kind: "preview", node, url: previews.show(`${id}/${node}`, picture) }]);
  };

  const onMessage = (type: string, data: JsonObject): void => {
    const id = data["prompt_id"];
    if (typeof id !== "string") return;
    if (jobs.has(id)) hear(id, eventsOf(type, data));
    else if (type === "execution_start") options.onStranger(id);
  };

  const stop = connection.listen((heard) => {
    if (heard.kind === "message") onMessage(heard.type, heard.data);
    else if (heard.kind === "preview") onPreview(heard);
    else if (heard.kind === "open") for (const { run } of active()) void sync(run.id);
  });

  const active = (): readonly Tracked[] => [...jobs.values()].filter(({ run }) => !isEnded(run.state));

  return {
    get: (id) => jobs.get(id),
    active,
    add: (id, prompt, targets) => {
      toldEnd.delete(id);
      put(id, { run: waitingRun(id, neededNodes(prompt, targets)), prompt, targets });
    },
    adopt: async (id) => {
      if (!jobs.has(id)) {
        const { prompt, targets } = await client.job(id);
        if (!jobs.has(id)) put(id, { run: waitingRun(id, neededNodes(prompt, targets)), prompt, targets });
        await sync(id);
      }
      return jobs.get(id);
    },
    sync,
    forget: (id) => {
      jobs.delete(id);
      toldEnd.delete(id);
      previews.dropAll(`${id}/`);
    },
    close: () => {
      stop();
      for (const timer of timers) clearTimeout(timer);
      previews.dropAll();
    },
  };
}

/** The state of a job as the server has it now. */
async function readTruth(client: TrackerOptions["client"], id: string, known: Tracked): Promise<JobRun> {
  let [job, complete] = [await client.job(id), true];
  let run = waitingRun(id, neededNodes(known.prompt, known.targets ?? job.targets));
  let after = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const page = await client.events(id, after);
    run = reduceAll(run, page.events.flatMap(eventsOfOwn));
    after = page.events.at(-1)?.number ?? after;
    complete &&= page.complete;
    if (isEnded(job.state) === page.ended) break;
    job = await client.job(id); // it ended, or began again, between the two questions
  }
  if (!complete) run = inferDone(run, known.prompt);
  return isEnded(job.state) ? endedAs(run, job, complete) : run;
}

/** What the job itself keeps is right also when its events are long forgotten. */
function endedAs(run: JobRun, job: JobDetails, complete: boolean): JobRun {
  const finished = job.state === "done" && !complete ? Object.keys(run.nodes).filter((id) => run.nodes[id]?.state === "waiting") : [];
  const events: RunEvent[] = [
    ...finished.map((node): RunEvent => ({ kind: "node-finished", node })),
    ...Object.entries(job.outputs).map(([node, output]): RunEvent => ({ kind: "output", node, output })),
    ...(job.error === null || job.error === undefined ? [] : [{ kind: "failed", ...readFailure(job.error) } as const]),
    { kind: "ended", state: job.state },
  ];
  return reduceAll(run, events);
}

/** Previews and the inputs of a failure are told by the socket only. */
function withPreviews(run: JobRun, before: JobRun | undefined): JobRun {
  if (before === undefined) return run;
  const nodes = Object.entries(run.nodes).map(([id, node]) => {
    const preview = before.nodes[id]?.preview;
    return [id, node.state === "running" && preview !== undefined ? { ...node, preview } : node] as const;
  });
  const known = before.failure;
  const failure = run.failure === undefined || known === undefined ? run.failure : { ...run.failure, inputs: known.inputs };
  return { ...run, nodes: Object.fromEntries(nodes), ...(failure === undefined ? {} : { failure }) };
}

/** The node that a picture without a name is of: the one that counts its steps. */
function nodeAtWork(run: JobRun): string | undefined {
  const running = Object.entries(run.nodes).filter(([, node]) => node.state === "running");
  return (running.find(([, node]) => (node.max ?? 1) > 1) ?? running.at(-1))?.[0];
}

export const progress = (tracked: Tracked | undefined): number => (tracked === undefined ? 0 : progressOf(tracked.run));
