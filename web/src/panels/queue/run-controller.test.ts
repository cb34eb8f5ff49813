import { afterEach, describe, expect, it, vi } from "vitest";
import type { JsonObject } from "../../model/json";
import { textToImage } from "../../model/edit/testing";
import type { Client, Connection, Heard, Job, JobDetails } from "../../net";
import { UnreachableError } from "../../net";
import { createDocumentStore } from "../../state/documents";
import { createRunsStore } from "../../state/runs";
import { createWorkspaceStore, type Tab } from "../../state/workspace";
import { createJobsStore } from "./jobs-store";
import { createRunController, type JobEnd, type RunController } from "./run-controller";
import { detailsOf, fakeJobs, fakeJobsClient, sampleJob } from "./samples";

type Listener = Parameters<Connection["listen"]>[0];
const PROMPT: JsonObject = {
  "1": { class_type: "Sample", inputs: {} },
  "2": { class_type: "Save", inputs: { images: ["1", 0] } },
};
const picture = (name: string): JsonObject => ({ images: [{ filename: name, subfolder: "", type: "output" }] });

let close: (() => void)[] = [];
afterEach(() => {
  for (const end of close) end();
  close = [];
  vi.useRealTimers();
});

/** A page with one tab, and a server that is told what to say. */
function world() {
  const all = fakeJobs(0);
  const kept = new Map<string, JobDetails>();
  const log = new Map<string, { number: number; event: string; data: JsonObject }[]>();
  const listeners = new Set<Listener>();
  const sent: string[] = [];
  const asked: string[] = [];
  const answers = { now: true };
  const client = {
    ...fakeJobsClient(all),
    clientId: "me",
    submit: async (prompt: JsonObject, { id = "" }: { readonly id?: string } = {}) => {
      sent.push(id);
      const job = sampleJob(sent.length, { id, state: "pending", client_id: "me", outputs: {} });
      kept.set(id, { ...detailsOf(job), prompt });
      return Promise.resolve({ id, number: sent.length, faults: {} });
    },
    job: (id: string) => {
      asked.push(id);
      return answers.now ? Promise.resolve(kept.get(id)) : Promise.reject(new UnreachableError("/jobs"));
    },
    events: (id: string, after = 0) =>
      Promise.resolve({
        events: (log.get(id) ?? []).filter((event) => event.number > after),
        complete: true,
        ended: kept.get(id)?.state === "done" || kept.get(id)?.state === "cancelled",
      }),
    cancel: (id: string) => {
      settle(id, { state: "cancelled" }, [["Ended", { state: "cancelled" }]]);
      return Promise.resolve(kept.get(id));
    },
  } as unknown as Client;
  const connection = {
    isOpen: () => true,
    listen: (listener: Listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as Connection;
  const settle = (id: string, change: Partial<Job>, events: readonly (readonly [string, JsonObject])[]): void => {
    const job = kept.get(id);
    if (job !== undefined) kept.set(id, { ...job, ...change });
    log.set(id, events.map(([event, data], at) => ({ number: at + 1, event, data })));
  };
  const hear = (type: string, data: JsonObject): void => {
    for (const listener of listeners) listener({ kind: "message", type, data } satisfies Heard);
  };
  const reopen = (): void => {
    for (const listener of listeners) listener({ kind: "open", again: true });
  };
  const workspace = createWorkspaceStore();
  const tab: Tab = {
    id: "t",
    title: "Test",
    unsaved: false,
    document: createDocumentStore(textToImage().document),
    runs: createRunsStore(),
  };
  workspace.getState().open(tab);
  const jobs = createJobsStore(client, connection, 1);
  const ends: JobEnd[] = [];
  const runs: RunController = createRunController({
    client,
    connection,
    workspace,
    jobs,
    toPrompt: () => ({ prompt: PROMPT, workflow: {} }),
    onEnded: (end) => ends.push(end),
    pace: 1,
  });
  close.push(() => runs.close(), () => jobs.close());

  /** Everything that a job does, at once; what is cached in it is not run again. */
  const runThrough = (id: string, name: string, cached: readonly string[] = []): void => {
    const output = { "2": picture(name) };
    settle(id, { state: "done", outputs: output }, [
      ["Started", { cached: [...cached] }],
      ["NodeFinished", { node: "1", cached: cached.includes("1"), seconds: 1 }],
      ["NodeFinished", { node: "2", cached: false, seconds: 1, output: picture(name) }],
      ["Ended", { state: "done" }],
    ]);
    hear("execution_start", { prompt_id: id });
    hear("execution_cached", { prompt_id: id, nodes: [...cached] });
    hear("executed", { prompt_id: id, node: "2", output: picture(name) });
    hear("execution_success", { prompt_id: id });
  };
  return { all, kept, asked, answers, settle, hear, reopen, tab, jobs, runs, ends, runThrough };
}

describe("the jobs of a tab", () => {
  it("show what the last one made, also when two end almost at once", async () => {
    const { runs, tab, runThrough, ends } = world();
    const { ids } = await runs.queue(tab, { count: 2 });
    const [first = "", second = ""] = ids;
    runThrough(first, "first.png");
    runThrough(second, "second.png", ["1"]);
    await vi.waitFor(() => expect(ends).toHaveLength(2));
    await vi.waitFor(() => expect(tab.runs.getState().nodes["1"]?.state).toBe("cached"));
    expect(tab.runs.getState().nodes["2"]?.output).toEqual(picture("second.png"));
    expect(tab.runs.getState().job).toBeUndefined();
  });

  it("keep showing pictures when a job that waits is cancelled", async () => {
    const { runs, tab, runThrough, ends, hear } = world();
    const { ids } = await runs.queue(tab);
    runThrough(ids[0] ?? "", "first.png");
    await vi.waitFor(() => expect(ends).toHaveLength(1));
    const next = await runs.queue(tab);
    await vi.waitFor(() => expect(tab.runs.getState().job?.state).toBe("waiting"));
    await runs.cancel(tab);
    hear("execution_interrupted", { prompt_id: next.ids[0] ?? "" });
    await vi.waitFor(() => expect(tab.runs.getState().job).toBeUndefined());
    expect(tab.runs.getState().nodes["2"]?.output).toEqual(picture("first.png"));
  });

  it("asks nothing about jobs that were taken out of the queue here", async () => {
    const { runs, tab, all, jobs, asked } = world();
    const { ids } = await runs.queue(tab);
    const [id = ""] = ids;
    all.queue = { ...all.queue, waiting: [sampleJob(1, { id, state: "pending", client_id: "me", outputs: {} })] };
    await jobs.getState().refresh();
    await vi.waitFor(() => expect(tab.runs.getState().job?.state).toBe("waiting"));
    asked.length = 0;
    await jobs.getState().clearWaiting();
    expect(tab.runs.getState().job).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it("show what a node gives that is no output on that node", async () => {
    const { runs, tab, settle, hear, ends } = world();
    const { ids } = await runs.queue(tab);
    const [id = ""] = ids;
    const output = picture("decoded.png");
    settle(id, { state: "done", outputs: { "shown:1": output } }, [["NodeFinished", { node: "shown:1", cached: false, seconds: 1, output }], ["Ended", { state: "done" }]]);
    hear("execution_success", { prompt_id: id });
    await vi.waitFor(() => expect(ends).toHaveLength(1));
    await vi.waitFor(() => expect(tab.runs.getState().nodes["1"]?.output).toEqual(output));
    expect(Object.keys(tab.runs.getState().nodes)).not.toContain("shown:1");
  });
});

describe("a line that is there while questions are not answered", () => {
  it("asks again until it knows how the job ended", async () => {
    vi.useFakeTimers();
    const { runs, tab, ends, settle, reopen, answers } = world();
    const { ids } = await runs.queue(tab);
    settle(ids[0] ?? "", { state: "done" }, [["NodeFinished", { node: "1", cached: false, seconds: 1 }], ["Ended", { state: "done" }]]);
    answers.now = false;
    reopen();
    await vi.advanceTimersByTimeAsync(3000);
    expect(ends).toEqual([]);
    answers.now = true;
    await vi.advanceTimersByTimeAsync(3000);
    expect(ends.map(({ state }) => state)).toEqual(["done"]);
  });
});

describe("the job of somebody else", () => {
  it("tells how far it is, and is forgotten when it is over", async () => {
    const { all, kept, settle, jobs, runs } = world();
    const job = sampleJob(1, { state: "running", client_id: "script", workflow_id: null, outputs: {}, ended: null });
    kept.set(job.id, { ...detailsOf(job), prompt: PROMPT });
    settle(job.id, {}, [
      ["Started", { cached: [] }],
      ["NodeStarted", { node: "1" }],
      ["Progress", { node: "1", value: 5, total: 10 }],
    ]);
    all.queue = { ...all.queue, running: [job] };
    await jobs.getState().refresh();
    await vi.waitFor(() => expect(runs.live.getState().jobs[job.id]?.progress).toBeGreaterThan(0));
    settle(job.id, { state: "done" }, [["Started", { cached: [] }], ["Ended", { state: "done" }]]);
    all.queue = { ...all.queue, running: [] };
    await jobs.getState().refresh();
    await vi.waitFor(() => expect(runs.live.getState().jobs).toEqual({}));
  });
});
