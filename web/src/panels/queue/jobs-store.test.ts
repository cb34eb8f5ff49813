import { afterEach, describe, expect, it, vi } from "vitest";
import { UnreachableError, type Connection, type Heard } from "../../net";
import { createJobsStore, type JobsStore } from "./jobs-store";
import { fakeJobs, fakeJobsClient, type FakeClient, type FakeJobs } from "./samples";

type Listener = Parameters<Connection["listen"]>[0];

interface World {
  readonly all: FakeJobs;
  readonly client: FakeClient;
  readonly store: JobsStore;
  readonly hear: (heard: Heard) => void;
}

const stores: JobsStore[] = [];
function world(count = 0, waiting = 0): World {
  const all = fakeJobs(count, waiting);
  const client = fakeJobsClient(all);
  const listeners = new Set<Listener>();
  const connection = { isOpen: () => false, listen: (listener: Listener) => (listeners.add(listener), () => void listeners.delete(listener)) };
  const store = createJobsStore(client, connection, 5);
  stores.push(store);
  return { all, client, store, hear: (heard) => listeners.forEach((listener) => listener(heard)) };
}
afterEach(() => {
  for (const store of stores.splice(0)) store.close();
});

const numbers = (store: JobsStore): number[] => store.getState().queue.waiting.map((job) => job.number);
const status: Heard = { kind: "message", type: "status", data: {} };

describe("the jobs of the server", () => {
  it("are asked for when the line opens, and again after every message of a change", async () => {
    const { store, hear, all } = world(3, 2);
    hear({ kind: "open", again: false });
    await vi.waitFor(() => expect(store.getState().ended).toHaveLength(3));
    expect(store.getState().queue.waiting).toHaveLength(2);
    all.queue = { ...all.queue, waiting: [] };
    hear(status);
    hear(status);
    await vi.waitFor(() => expect(store.getState().queue.waiting).toEqual([]));
  });

  it("are asked for at once where the line is there already", async () => {
    const store = createJobsStore(fakeJobsClient(fakeJobs(3)), { isOpen: () => true, listen: () => () => undefined });
    await vi.waitFor(() => expect(store.getState().ended).toHaveLength(3));
  });

  it("come page by page until all ten thousand are there, each once", async () => {
    const { store } = world(10_000);
    await store.getState().refresh();
    expect(store.getState().ended.length).toBeLessThan(100);
    for (let page = 0; page < 60; page++) await store.getState().loadMore();
    const { ended, total } = store.getState();
    expect(ended).toHaveLength(10_000);
    expect(total).toBe(10_000);
    expect(new Set(ended.map((job) => job.id)).size).toBe(10_000);
  });

  it("keep the pages that are loaded when something new ends", async () => {
    const { store, all } = world(500);
    await store.getState().refresh();
    await store.getState().loadMore();
    const before = store.getState().ended.length;
    const [newest] = fakeJobs(501).ended;
    if (newest !== undefined) all.ended.unshift(newest);
    await store.getState().refresh();
    expect(store.getState().ended).toHaveLength(before + 1);
    expect(store.getState().ended[0]?.number).toBe(501);
  });

  it("are counted by state, and listed by state with pages of their own", async () => {
    const { store } = world(400);
    await store.getState().refresh();
    expect(store.getState().counts).toEqual({ done: 380, failed: 20 });
    await store.getState().show("failed");
    expect(store.getState().ended.every((job) => job.state === "failed")).toBe(true);
    expect(store.getState().total).toBe(20);
    expect(store.getState().counts).toEqual({ done: 380, failed: 20 });
    await store.getState().show("done");
    await store.getState().loadMore();
    expect(store.getState().ended.every((job) => job.state === "done")).toBe(true);
    expect(store.getState().counts).toEqual({ done: 380, failed: 20 });
  });

  it("move at once, and the server is told only the part that changed", async () => {
    const { store, client } = world(0, 6);
    await store.getState().refresh();
    const [first, second, third] = store.getState().queue.waiting;
    const done = store.getState().move(first?.id ?? "", 2);
    expect(numbers(store).slice(0, 3)).toEqual([second?.number, third?.number, first?.number]);
    await done;
    expect(client.asked).toContain(`reorder ${second?.id},${third?.id},${first?.id}`);
    expect(numbers(store).slice(0, 3)).toEqual([second?.number, third?.number, first?.number]);
  });

  it("are deleted whatever their state: what waits leaves the queue, what ended is forgotten", async () => {
    const { store, client } = world(3, 3);
    await store.getState().refresh();
    const { queue, ended } = store.getState();
    const [running, waiting, over] = [queue.running[0]?.id ?? "", queue.waiting[0]?.id ?? "", ended[0]?.id ?? ""];
    await store.getState().remove([running, waiting, over]);
    expect(client.asked).toEqual(expect.arrayContaining([`cancel ${running}`, `unqueue ${waiting}`, `forget ${over}`]));
    expect(store.getState().queue.waiting).toHaveLength(2);
    expect(store.getState().ended.map((job) => job.id)).not.toContain(over);
  });

  it("can all be taken out of the queue, paused and tried again", async () => {
    const { store, all } = world(20, 5);
    await store.getState().refresh();
    await store.getState().clearWaiting();
    expect(all.queue.waiting).toEqual([]);
    await store.getState().setPaused(true);
    expect(store.getState().queue.paused).toBe(true);
    const failed = store.getState().ended.find((job) => job.state === "failed");
    await store.getState().retry(failed?.id ?? "");
    expect(store.getState().queue.waiting.map((job) => job.id)).toEqual([failed?.id]);
    expect(store.getState().counts.failed).toBe(0);
  });

  it("say that the server is away, and forget it when it is back", async () => {
    const { store, client, all } = world(2);
    await store.getState().refresh();
    const { queue } = client;
    client.queue = () => Promise.reject(new UnreachableError("no answer"));
    await store.getState().refresh();
    expect(store.getState().problem).toBeInstanceOf(UnreachableError);
    expect(store.getState().ended).toHaveLength(all.ended.length); // what is known stays
    client.queue = queue;
    await store.getState().refresh();
    expect(store.getState().problem).toBeUndefined();
  });

  it("know the run before of the same workflow, however far back it is", async () => {
    const { store, all } = world(1500);
    const job = all.ended.find((one) => one.number === 31);
    const before = job === undefined ? undefined : await store.getState().previousOf(job);
    expect(before?.number).toBe(28);
    const first = all.ended.find((one) => one.number === 1);
    expect(first && (await store.getState().previousOf(first))).toBeUndefined();
  });

  it("are looked at once, however many ask", async () => {
    const { store, client, all } = world(2);
    const id = all.ended[0]?.id ?? "";
    await Promise.all([store.getState().look(id), store.getState().look(id)]);
    await store.getState().look(id);
    expect(client.asked.filter((what) => what === `job ${id}`)).toHaveLength(1);
    expect(await store.getState().look("gone")).toBeUndefined();
  });
});
