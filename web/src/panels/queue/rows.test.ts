import { describe, expect, it } from "vitest";
import { between, FIRST_VIEW, jobsIn, rowsOf, type JobsView, type Row } from "./rows";
import { fakeJobs, sampleJob } from "./samples";

const all = fakeJobs(40, 3);
const rows = (view: Partial<JobsView>, columns = 3): Row[] => rowsOf(all.queue, all.ended, 40, { ...FIRST_VIEW, ...view }, columns);
const kinds = (list: readonly Row[]): string[] => list.map((row) => (row.kind === "title" ? `${row.section} ${row.count}` : row.kind));

describe("rows of the list of jobs", () => {
  it("shows what runs, what waits and what ended, each under its title with its count", () => {
    const titles = kinds(rows({})).filter((kind) => kind.includes(" "));
    expect(titles).toEqual(["running 1", "waiting 3", "ended 40"]);
  });

  it("shows in a tab only its jobs, without a title", () => {
    expect(kinds(rows({ tab: "waiting" }))).toEqual(["job", "job", "job"]);
    expect(kinds(rows({ tab: "running" }))).toEqual(["job"]);
    expect(rows({ tab: "done" })).toHaveLength(40); // the store lists only those that are done
  });

  it("lists only jobs with a saved file where that is wanted", () => {
    const shown = jobsIn(rows({ tab: "done", media: "saved" }));
    expect(shown.every((job) => job.state === "done")).toBe(true);
    expect(shown).toHaveLength(38);
    expect(rows({ media: "text", tab: "done" })).toEqual([]);
  });

  it("lays pictures out in rows of as many columns as fit", () => {
    const tiles = rows({ layout: "grid", tab: "done" }, 4);
    expect(tiles.map((row) => (row.kind === "tiles" ? row.media.length : 0))).toEqual([...Array<number>(9).fill(4), 2]);
  });

  it("folds the jobs of a run into one row, and opens it", () => {
    const run = "12345678-0000-4000-8000-00000000";
    const ended = [1, 2, 3].map((at) => sampleJob(9 - at, { id: `${run}000${at}` }));
    const view: JobsView = { ...FIRST_VIEW, tab: "done" };
    const closed = rowsOf(all.queue, ended, 3, view, 3);
    expect(kinds(closed)).toEqual(["run"]);
    const open = rowsOf(all.queue, ended, 3, { ...view, openRuns: new Set([run]) }, 3);
    expect(kinds(open)).toEqual(["run", "job", "job", "job"]);
    expect(jobsIn(open)).toEqual(jobsIn(closed));
  });

  it("has a key of its own for every row", () => {
    for (const layout of ["list", "grid"] as const) {
      const keys = rows({ layout }).map((row) => row.key);
      expect(new Set(keys).size).toBe(keys.length);
    }
  });

  it("chooses from one job to another in either direction", () => {
    const list = rows({ tab: "done" });
    const ids = jobsIn(list).map((job) => job.id);
    const [second = "", fifth = ""] = [ids[1], ids[4]];
    expect(between(list, second, fifth)).toEqual(ids.slice(1, 5));
    expect(between(list, fifth, second)).toEqual(ids.slice(1, 5));
    expect(between(list, "gone", fifth)).toEqual([fifth]);
  });

  it("takes little time for ten thousand jobs", () => {
    const many = fakeJobs(10_000, 200);
    rowsOf(many.queue, many.ended, 10_000, FIRST_VIEW, 3); // files are read from each job once
    const start = performance.now();
    rowsOf(many.queue, many.ended, 10_000, FIRST_VIEW, 3);
    expect(performance.now() - start).toBeLessThan(100);
  });
});
