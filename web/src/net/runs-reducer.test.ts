import { describe, expect, it } from "vitest";
import type { JsonObject } from "../model/json";
import { eventsOf, eventsOfOwn, readFailure } from "./run-events";
import { catchUp, inferDone, neededNodes, progressOf, reduceAll, reduceRun, waitingRun } from "./runs-reducer";
import type { JobRun } from "./runs-reducer";
import recorded from "./testdata/recorded.json";

type Name = keyof typeof recorded;
interface Scenario {
  readonly prompt: JsonObject;
  readonly heard: readonly { readonly type?: string; readonly data?: JsonObject; readonly frame?: string }[];
  readonly events: { readonly events: readonly { number: number; event: string; data: JsonObject }[] };
  readonly job: JsonObject;
}
const scenario = (name: Name): Scenario => recorded[name] as unknown as Scenario;

const heardOf = (name: Name) =>
  scenario(name).heard.flatMap(({ type, data }) => (type === undefined || data === undefined ? [] : eventsOf(type, data)));
const start = (name: Name): JobRun => waitingRun("job", neededNodes(scenario(name).prompt, targetsOf(name)));
const targetsOf = (name: Name) => scenario(name).job["targets"] as string[];
const bySocket = (name: Name): JobRun => reduceAll(start(name), heardOf(name));
const byEvents = (name: Name): JobRun => reduceAll(start(name), scenario(name).events.events.flatMap(eventsOfOwn));
const states = (run: JobRun) => Object.fromEntries(Object.entries(run.nodes).map(([id, node]) => [id, node.state]));

describe("a recorded run", () => {
  it("has every node done and the picture on the saving node", () => {
    const run = bySocket("fresh");
    expect(run.state).toBe("done");
    expect(new Set(Object.values(states(run)))).toEqual(new Set(["done"]));
    expect(run.nodes["9"]?.output).toMatchObject({ images: [{ type: "output" }] });
    expect(progressOf(run)).toBe(1);
  });

  it("knows the seconds of each node from the numbered events", () => {
    expect(byEvents("fresh").nodes["3"]?.seconds).toBeGreaterThan(0);
  });

  it("marks cached nodes, also where a cached node shows something", () => {
    const run = bySocket("cached");
    expect(new Set(Object.values(states(run)))).toEqual(new Set(["cached"]));
    expect(run.nodes["9"]?.output).toBeDefined();
  });

  it("runs what a new seed changes and nothing else", () => {
    expect(states(bySocket("seed"))).toEqual({ 3: "done", 4: "cached", 5: "cached", 6: "cached", 7: "cached", 8: "done", 9: "done", 10: "done" });
  });

  it("blames the node that raised, and says what it was given", () => {
    const run = bySocket("raises");
    expect(run.state).toBe("failed");
    expect(run.nodes["20"]?.state).toBe("error");
    expect(run.failure).toMatchObject({ node: "20", message: "the amount 7 is not even", exception: "ValueError" });
    expect(run.failure?.inputs).toMatchObject({ amount: "7" });
    expect(readFailure(scenario("raises").job["error"] as JsonObject)).toMatchObject({ node: "20", message: "the amount 7 is not even" });
  });

  it("leaves nothing running after an interruption", () => {
    const run = bySocket("interrupted");
    expect(run.state).toBe("cancelled");
    expect(Object.values(states(run)).every((state) => state === "cached" || state === "done")).toBe(true);
  });

  it.each(["fresh", "cached", "seed", "interrupted"] as const)("is the same from both sources: %s", (name) => {
    expect(states(bySocket(name))).toEqual(states(byEvents(name)));
  });

  it("goes up only in its progress", () => {
    let run = start("fresh");
    let before = 0;
    for (const event of heardOf("fresh")) {
      run = reduceRun(run, event);
      expect(progressOf(run)).toBeGreaterThanOrEqual(before);
      before = progressOf(run);
    }
  });
});

describe("a line that was lost", () => {
  it("ends with the same state wherever it was cut, once the numbered events are read again", () => {
    for (const name of ["fresh", "seed", "raises", "interrupted"] as const) {
      const heard = heardOf(name);
      const whole = states(bySocket(name));
      for (let cut = 0; cut <= heard.length; cut++) {
        // cut: what came before is known, what comes in the meantime arrives after the truth was read
        const failed = name === "raises" ? [{ kind: "failed" as const, ...readFailure(scenario(name).job["error"] as JsonObject) }] : [];
        const truth = reduceAll(start(name), [...scenario(name).events.events.slice(0, -1).flatMap(eventsOfOwn), ...failed]);
        const late = heard.slice(cut).reduce(catchUp, truth);
        const over = late.state === "running" ? reduceRun(late, { kind: "ended", state: bySocket(name).state }) : late;
        expect(states(over)).toEqual(whole);
      }
    }
  });

  it("does not go back for messages older than the truth", () => {
    const truth = reduceAll(waitingRun("job", ["3"]), [{ kind: "started" }, { kind: "progress", node: "3", value: 5, max: 20 }]);
    expect(catchUp(truth, { kind: "progress", node: "3", value: 3, max: 20 }).nodes["3"]?.value).toBe(5);
    expect(catchUp(truth, { kind: "progress", node: "3", value: 6, max: 20 }).nodes["3"]?.value).toBe(6);
    expect(catchUp(truth, { kind: "started" })).toBe(truth);
  });

  it("takes what a running node needs as done, where early events are gone", () => {
    const { prompt } = scenario("fresh");
    const run = inferDone(reduceRun(start("fresh"), { kind: "node-started", node: "8" }), prompt);
    expect(run.nodes["3"]?.state).toBe("done");
    expect(run.nodes["4"]?.state).toBe("done");
    expect(run.nodes["8"]?.state).toBe("running");
    expect(run.nodes["9"]?.state).toBe("waiting");
  });

  it("starts over when a job is tried again", () => {
    const run = reduceRun(bySocket("seed"), { kind: "started" });
    expect(new Set(Object.values(states(run)))).toEqual(new Set(["waiting"]));
  });
});

describe("live messages", () => {
  it("let a node work through a list: its progress starts again for each element", () => {
    const events = [1, 2, 1].map((value) => ({ kind: "progress" as const, node: "3", value, max: 2 }));
    expect(reduceAll(waitingRun("job", ["3"]), events).nodes["3"]?.value).toBe(1);
  });

  it("keep nodes that nothing is heard of as they are, by identity", () => {
    const run = waitingRun("job", ["1", "2"]);
    const next = reduceRun(run, { kind: "node-started", node: "1" });
    expect(next.nodes["2"]).toBe(run.nodes["2"]);
  });

  it("tell a blocked branch as a note of its node, not as the end", () => {
    const events = eventsOf("execution_error", { node_id: "7", exception_type: "ExecutionBlocked", exception_message: "no picture\n" });
    const run = reduceAll({ ...waitingRun("job", ["7"]), state: "running" }, events);
    expect(run.state).toBe("running");
    expect(run.notes["7"]).toEqual(["no picture"]);
  });
});

describe("needed nodes", () => {
  it("are the targets and what they come from", () => {
    const prompt = { 1: { inputs: {} }, 2: { inputs: { a: ["1", 0] } }, 3: { inputs: { a: ["1", 0] } } } as unknown as JsonObject;
    expect(neededNodes(prompt, ["2"])).toEqual(["1", "2"]);
    expect(neededNodes(prompt, undefined)).toEqual(["1", "2", "3"]);
  });
});
