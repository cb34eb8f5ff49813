// Made-up jobs, and a server that keeps them in memory: for tests and for the bench.

import type { JsonObject } from "../../model/json";
import type { Job, JobDetails, JobQuery, Queue } from "../../net";
import { ServerError } from "../../net";
import type { JobsClient } from "./jobs-store";

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;

/** The job of a number; the greater, the newer. */
export function sampleJob(number: number, change: Partial<Job> = {}): Job {
  const created = START + number * MINUTE;
  const id = `${number.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`;
  const file = { filename: `picture_${number}.png`, subfolder: "", type: "output" };
  return {
    id,
    state: "done",
    number,
    attempt: 0,
    client_id: "bench",
    workflow_id: `workflow-${number % 3}`,
    created,
    started: created + 1000,
    ended: created + 5000,
    outputs: { "9": { images: [file] } },
    ...change,
  };
}

export interface FakeJobs {
  readonly ended: Job[];
  queue: Queue;
}

/** `count` ended jobs, the newest first, of which each 20th failed; `waiting` in the queue. */
export function fakeJobs(count: number, waiting = 0): FakeJobs {
  const failed = { state: "failed", outputs: {}, error: { message: "The picture is empty.", exception: "ValueError" } } as const;
  const ended = Array.from({ length: count }, (_, at) => sampleJob(count - at, (count - at) % 20 === 0 ? failed : {}));
  const open = (state: Job["state"], at: number): Job => sampleJob(count + at, { state, started: null, ended: null, outputs: {} });
  const running = waiting === 0 ? [] : [{ ...open("running", 1), started: START }];
  return { ended, queue: { paused: false, running, waiting: Array.from({ length: waiting }, (_, at) => open("pending", at + 2)) } };
}

export type FakeClient = { -readonly [Name in keyof JobsClient]: JobsClient[Name] } & {
  /** What was asked, in order. */
  readonly asked: string[];
}

/** Answers as the server does, from `all`, which it changes. */
export function fakeJobsClient(all: FakeJobs): FakeClient {
  const asked: string[] = [];
  const told = async <T>(what: string, value: () => T): Promise<T> => {
    asked.push(what);
    return Promise.resolve().then(value);
  };
  const setQueue = (change: Partial<Queue>): Queue => (all.queue = { ...all.queue, ...change });
  const every = (): Job[] => [...all.queue.running, ...all.queue.waiting, ...all.ended];
  const find = (id: string): Job => {
    const job = every().find((one) => one.id === id);
    if (job === undefined) throw new ServerError(404, "missing_job", "there is no such job");
    return job;
  };
  const endedAs = (id: string, state: Job["state"]): Job => {
    const job = { ...find(id), state, ended: Date.now() };
    setQueue({ running: all.queue.running.filter((one) => one.id !== id), waiting: all.queue.waiting.filter((one) => one.id !== id) });
    all.ended.unshift(job);
    return job;
  };
  return {
    asked,
    queue: () => told("queue", () => all.queue),
    jobs: (query: JobQuery = {}) =>
      told(`jobs ${query.states?.join(",") ?? ""} ${query.limit} ${query.offset ?? 0}`, () => {
        const { states, workflow, limit = 100, offset = 0 } = query;
        const fitting = every()
          .filter((job) => (states?.includes(job.state) ?? true) && (workflow === undefined || job.workflow_id === workflow))
          .sort((one, other) => other.created - one.created);
        return { jobs: fitting.slice(offset, offset + limit), total: fitting.length, limit, offset };
      }),
    job: (id) => told(`job ${id}`, () => detailsOf(find(id))),
    cancel: (id) => told(`cancel ${id}`, () => endedAs(id, "cancelled")),
    unqueue: (ids) => told(`unqueue ${ids.join(",")}`, () => void setQueue({ waiting: all.queue.waiting.filter((job) => !ids.includes(job.id)) })),
    forget: (ids) =>
      told(`forget ${ids.join(",")}`, () => {
        const kept = all.ended.filter((job) => !ids.includes(job.id));
        all.ended.splice(0, all.ended.length, ...kept);
      }),
    retry: (id) =>
      told(`retry ${id}`, () => {
        const job: Job = { ...find(id), state: "pending", attempt: find(id).attempt + 1, started: null, ended: null };
        all.ended.splice(all.ended.findIndex((one) => one.id === id), 1);
        setQueue({ waiting: [...all.queue.waiting, job] });
        return job;
      }),
    reorder: (ids) =>
      told(`reorder ${ids.join(",")}`, () => {
        const places = all.queue.waiting.flatMap((job, place) => (ids.includes(job.id) ? [place] : []));
        const waiting = [...all.queue.waiting];
        places.forEach((place, at) => (waiting[place] = find(ids[at] ?? "")));
        return setQueue({ waiting });
      }),
    pause: () => told("pause", () => setQueue({ paused: true })),
    resume: () => told("resume", () => setQueue({ paused: false })),
  };
}

export function detailsOf(job: Job): JobDetails {
  const prompt: JsonObject = {
    "3": { class_type: "KSampler", inputs: { seed: job.number, steps: 20, cfg: 4, positive: ["6", 0] } },
    "6": { class_type: "CLIPTextEncode", inputs: { text: `a picture of the number ${job.number}` } },
    "9": { class_type: "SaveImage", inputs: { images: ["3", 0] } },
  };
  return { ...job, prompt, extra_data: { easel: { name: `Sample ${job.number}` } }, files: [] };
}
