import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { groupByRun, mergeNewest, moved, span } from "./order";
import { sampleJob } from "./samples";

const list = fc.uniqueArray(fc.integer(), { minLength: 1, maxLength: 20 });
const withPlaces = list.chain((items) => fc.tuple(fc.constant(items), fc.nat(items.length - 1), fc.nat(items.length - 1)));

describe("moving in a list", () => {
  it("keeps everything, and puts the one at its place", () => {
    fc.assert(
      fc.property(withPlaces, ([items, from, to]) => {
        const result = moved(items, from, to);
        expect(result[to]).toBe(items[from]);
        expect([...result].sort()).toEqual([...items].sort());
      }),
    );
  });

  it("can be undone by moving back", () => {
    fc.assert(
      fc.property(withPlaces, ([items, from, to]) => {
        expect(moved(moved(items, from, to), to, from)).toEqual(items);
      }),
    );
  });

  it("changes nothing outside of the span between the places", () => {
    fc.assert(
      fc.property(withPlaces, ([items, from, to]) => {
        const part = span(moved(items, from, to), from, to);
        expect([...part].sort()).toEqual([...span(items, from, to)].sort());
      }),
    );
  });
});

describe("merging what is new into what is known", () => {
  const jobs = [5, 4, 3, 2, 1].map((number) => sampleJob(number));

  it("puts new jobs first and keeps what is older than the page", () => {
    const page = [sampleJob(6), ...jobs.slice(0, 2)];
    expect(mergeNewest(jobs, page, 6).map((job) => job.number)).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it("drops what was deleted within the page", () => {
    const page = [jobs[0], jobs[2]].filter((job) => job !== undefined);
    expect(mergeNewest(jobs, page, 4).map((job) => job.number)).toEqual([5, 3, 2, 1]);
  });

  it("answers the same list if nothing changed, so that nothing is drawn again", () => {
    const copies = jobs.slice(0, 3).map((job) => ({ ...job }));
    expect(mergeNewest(jobs, copies, 5)).toBe(jobs);
  });

  it("takes a job anew that was tried again", () => {
    const [first] = jobs;
    const again = { ...sampleJob(5), attempt: 1 };
    expect(mergeNewest(jobs, [again], 5)[0]).toBe(again);
    expect(first?.attempt).toBe(0);
  });

  it("leaves no gap where more ended than a page holds while nobody looked", () => {
    const page = [30, 29, 28].map((number) => sampleJob(number));
    expect(mergeNewest(jobs, page, 30).map((job) => job.number)).toEqual([30, 29, 28]);
  });
});

describe("grouping by run", () => {
  it("puts the jobs of one press of Run together, whose ids differ in the last digits alone", () => {
    const run = "12345678-0000-4000-8000-00000000";
    const jobs = [`${run}0001`, `${run}0002`, sampleJob(9).id].map((id, at) => sampleJob(9 - at, { id }));
    expect(groupByRun(jobs).map((group) => group.length)).toEqual([2, 1]);
  });
});
