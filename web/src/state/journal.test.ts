import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { apply, type Change } from "../model/changes";
import { emptyLevel, type Document, type Node } from "../model/document";
import { nodeId, ROOT } from "../model/ids";
import { createMemoryStore, replay, type DraftHead, type DraftStore } from "./drafts";
import { COMPACT_AFTER, createJournal } from "./journal";

const empty: Document = { id: "w", levels: new Map([[ROOT, emptyLevel(ROOT)]]), rest: {} };
const head: DraftHead = { id: "t", owner: "me", order: 0, title: "A", unsaved: false };

const node = (id: number): Node => ({
  id: nodeId(id),
  type: "Toy",
  position: { x: id, y: 0 },
  size: { width: 240, height: 80 },
  mode: "normal",
  collapsed: false,
  pinned: false,
  values: { seed: 2n ** 63n },
  control: {},
  inputs: [],
  outputs: [],
  properties: {},
  rest: {},
});
const adding = (id: number): Change => ({ kind: "add-node", level: ROOT, node: node(id) });
const count = (document: Document): number => document.levels.get(ROOT)?.nodes.size ?? 0;
const kept = async (store: DraftStore): Promise<Document> => {
  const draft = (await store.load())[0];
  if (draft === undefined) throw new Error("no draft");
  return replay(draft);
};

/** A store whose writes take a while, as a disk does. */
const slow = (store: DraftStore, milliseconds: () => number): DraftStore => {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds()));
  return {
    ...store,
    append: async (...all) => pause().then(() => store.append(...all)),
    setSnapshot: async (...all) => pause().then(() => store.setSnapshot(...all)),
    setHead: async (...all) => pause().then(() => store.setHead(...all)),
  };
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a kill at any moment loses nothing older than a second", async () => {
  const pauses = fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(pauses, fc.nat(400), fc.integer({ min: 0, max: 200 }), async (gaps, rest, latency) => {
      const store = createMemoryStore();
      const journal = createJournal(slow(store, () => latency));
      journal.watch(head, empty);
      await vi.advanceTimersByTimeAsync(1000);
      let document = empty;
      const made: number[] = [];
      for (const [place, gap] of gaps.entries()) {
        document = apply(document, adding(place)).document;
        journal.changed("t", document, adding(place));
        made.push(Date.now());
        await vi.advanceTimersByTimeAsync(gap);
      }
      await vi.advanceTimersByTimeAsync(rest);
      const old = made.filter((time) => Date.now() - time >= 1000).length;
      expect(count(await kept(store))).toBeGreaterThanOrEqual(old);
    }),
    { numRuns: 100 },
  );
});

test("all is kept after a flush, also across snapshots", async () => {
  const store = createMemoryStore();
  const journal = createJournal(store);
  journal.watch(head, empty);
  let document = empty;
  for (let id = 0; id < COMPACT_AFTER * 2.5; id++) {
    document = apply(document, adding(id)).document;
    journal.changed("t", document, adding(id));
    if (id % 50 === 0) await journal.flush();
  }
  await journal.flush();
  expect(await kept(store)).toEqual(document);
  expect((await store.load())[0]?.entries.length).toBeLessThanOrEqual(COMPACT_AFTER);
  expect(journal.holds("t")).toBe(true);
});

test("a full disk is told, and what failed is written as soon as it can be", async () => {
  const store = createMemoryStore();
  let full = false;
  const failing: DraftStore = {
    ...store,
    append: (...all) => (full ? Promise.reject(new Error("disk full")) : store.append(...all)),
    setSnapshot: (...all) => (full ? Promise.reject(new Error("disk full")) : store.setSnapshot(...all)),
  };
  const health = vi.fn();
  const journal = createJournal(failing, health);
  journal.watch(head, empty);
  await journal.flush();
  full = true;
  const document = apply(empty, adding(1)).document;
  journal.changed("t", document, adding(1));
  await journal.flush();
  expect(health).toHaveBeenLastCalledWith("disk full");
  expect(journal.holds("t")).toBe(false);
  full = false;
  await vi.advanceTimersByTimeAsync(3000);
  expect(health).toHaveBeenLastCalledWith();
  expect(await kept(store)).toEqual(document);
});

test("a gap in the journal ends the replay where it is", async () => {
  const entries = [1, 2, 4].map((sequence) => ({ sequence, change: adding(sequence) }));
  expect(count(replay({ head, document: empty, sequence: 0, entries }))).toBe(2);
});

test("a forgotten draft is gone", async () => {
  const store = createMemoryStore();
  const journal = createJournal(store);
  journal.watch(head, empty);
  await journal.flush();
  journal.forget("t");
  await journal.flush();
  expect(await store.load()).toEqual([]);
});
