// The state of one job from what is heard of it: pure, so that what was missed can be read again from the start.

import type { Json, JsonObject } from "../model/json";
import { isArray, isObject } from "../model/json";
import type { Failure, RunEvent } from "./run-events";
import type { JobState } from "./schemas";

export interface RunNode {
  readonly state: "waiting" | "running" | "done" | "cached" | "error";
  readonly value?: number;
  readonly max?: number;
  readonly preview?: string;
  readonly seconds?: number;
  readonly output?: JsonObject;
}

export interface JobRun {
  readonly id: string;
  readonly state: JobState;
  /** By the node id that the server uses; those that run for the targets are here from the start. */
  readonly nodes: Readonly<Record<string, RunNode>>;
  readonly failure?: Failure;
  /** What nodes said that is no failure: warnings, blocked branches. */
  readonly notes: Readonly<Record<string, readonly string[]>>;
}

/** A job that waits; `nodes` are the ids of those that it needs. */
export const waitingRun = (id: string, nodes: readonly string[] = []): JobRun => ({
  id,
  state: "pending",
  nodes: Object.fromEntries(nodes.map((node): [string, RunNode] => [node, { state: "waiting" }])),
  notes: {},
});

export function reduceRun(run: JobRun, event: RunEvent): JobRun {
  switch (event.kind) {
    case "started":
      // A job may be started again after a worker died: what the attempt before did counts no more.
      return { ...waitingRun(run.id, Object.keys(run.nodes)), state: "running" };
    case "cached":
      return event.nodes.reduce((now, node) => withNode(now, node, { ...now.nodes[node], state: "cached" }), run);
    case "node-started":
      return withNode({ ...run, state: "running" }, event.node, started(run.nodes[event.node]));
    case "progress":
      return progressed(run, event.node, event.value, event.max);
    case "node-finished":
      return withNode(run, event.node, finished(run.nodes[event.node], event));
    case "output":
      return withNode(run, event.node, { ...(run.nodes[event.node] ?? { state: "cached" }), output: event.output });
    case "preview":
      return withNode(run, event.node, { ...(run.nodes[event.node] ?? { state: "running" }), preview: event.url });
    case "failed":
      return failed(run, event);
    case "note":
      return { ...run, notes: { ...run.notes, [event.node]: [...(run.notes[event.node] ?? []), event.message] } };
    case "ended":
      return ended(run, event.state);
  }
}

export const reduceAll = (run: JobRun, events: Iterable<RunEvent>): JobRun => {
  for (const event of events) run = reduceRun(run, event);
  return run;
};

/**
 * The same for events that may be older than what is known, such as those that came while the truth was fetched:
 * nothing goes backwards.
 */
export function catchUp(run: JobRun, event: RunEvent): JobRun {
  if (run.state !== "pending" && run.state !== "running") return run;
  if (event.kind === "started") return run.state === "running" ? run : reduceRun(run, event);
  const isLate = (event.kind === "node-started" || event.kind === "progress") && isBehind(run.nodes[event.node], event);
  return isLate ? run : reduceRun(run, event);
}

type Begun = Extract<RunEvent, { readonly kind: "node-started" | "progress" }>;

function isBehind(known: RunNode | undefined, event: Begun): boolean {
  if (known === undefined || known.state === "waiting") return false;
  if (known.state !== "running" || event.kind === "node-started") return true;
  return known.max === event.max && (known.value ?? 0) > event.value;
}

/** How far a job is, 0 to 1. */
export function progressOf(run: JobRun): number {
  const nodes = Object.values(run.nodes);
  if (nodes.length === 0) return run.state === "done" ? 1 : 0;
  const parts = nodes.map((node) => {
    if (node.state === "done" || node.state === "cached") return 1;
    return node.state === "running" && node.max !== undefined && node.max > 0 ? (node.value ?? 0) / node.max : 0;
  });
  return parts.reduce((sum, part) => sum + part, 0) / nodes.length;
}

/** The nodes that `targets` need, themselves included; all nodes if no targets are named. */
export function neededNodes(prompt: JsonObject, targets: readonly string[] | undefined): string[] {
  if (targets === undefined || targets.length === 0) return Object.keys(prompt);
  const needed = new Set<string>();
  const open = [...targets];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (needed.has(node) || prompt[node] === undefined) continue;
    needed.add(node);
    open.push(...sourcesOf(prompt[node] ?? null));
  }
  return Object.keys(prompt).filter((node) => needed.has(node));
}

/** The state of a job of which early events are gone: what a node that began needs must have ended. */
export function inferDone(run: JobRun, prompt: JsonObject): JobRun {
  const begun = Object.entries(run.nodes).flatMap(([id, node]) => (node.state === "waiting" ? [] : [id]));
  const before = neededNodes(prompt, begun.length === 0 ? ["none"] : begun).filter((id) => !begun.includes(id));
  return before.reduce((now, id) => withNode(now, id, { ...now.nodes[id], state: "done" }), run);
}

function sourcesOf(node: Json): string[] {
  const inputs = isObject(node) && isObject(node["inputs"]) ? Object.values(node["inputs"]) : [];
  return inputs.flatMap((value) => (isArray(value) && value.length === 2 ? [String(value[0])] : []));
}

const withNode = (run: JobRun, id: string, node: RunNode): JobRun =>
  run.nodes[id] === node ? run : { ...run, nodes: { ...run.nodes, [id]: node } };

function started(known: RunNode | undefined): RunNode {
  if (known?.state === "running") return known;
  return { state: "running", ...kept(known) };
}

function progressed(run: JobRun, id: string, value: number, max: number): JobRun {
  const known = run.nodes[id];
  if (known?.state === "running" && known.value === value && known.max === max) return run;
  return withNode({ ...run, state: "running" }, id, { state: "running", value, max, ...kept(known) });
}

/** What stays of a node when it goes on: its picture and what it shows. */
const kept = (known: RunNode | undefined): Partial<RunNode> => ({
  ...(known?.preview === undefined ? {} : { preview: known.preview }),
  ...(known?.output === undefined ? {} : { output: known.output }),
});

type Finished = Extract<RunEvent, { readonly kind: "node-finished" }>;

function finished(known: RunNode | undefined, event: Finished): RunNode {
  const cached = event.cached ?? known?.state === "cached";
  const next: RunNode = {
    state: cached ? "cached" : "done",
    ...defined("output", event.output ?? known?.output),
    ...defined("seconds", cached ? undefined : (event.seconds ?? known?.seconds)),
  };
  const same = known !== undefined && sameNode(known, next);
  return same ? known : next;
}

const sameNode = (one: RunNode, other: RunNode): boolean =>
  one.state === other.state && one.output === other.output && one.seconds === other.seconds;

const defined = <K extends keyof RunNode>(name: K, value: RunNode[K]): Partial<RunNode> =>
  value === undefined ? {} : { [name]: value };

function failed(run: JobRun, event: Extract<RunEvent, { readonly kind: "failed" }>): JobRun {
  const { node, message, exception, inputs } = event;
  const next = { ...run, failure: { message, exception, inputs, ...(node === undefined ? {} : { node }) } };
  return node === undefined ? next : withNode(next, node, { state: "error" });
}

/** When a job is over nothing of it runs or waits; what still waited was not needed, or never reached. */
function ended(run: JobRun, state: JobState): JobRun {
  const entries = Object.entries(run.nodes).flatMap(([id, node]): [string, RunNode][] => {
    const rest = { ...defined("output", node.output), ...defined("seconds", node.seconds) };
    if (node.state === "waiting") return [];
    if (node.state === "running") return state === "done" ? [[id, { ...rest, state: "done" }]] : [];
    return [[id, { ...rest, state: node.state }]];
  });
  return { ...run, state, nodes: Object.fromEntries(entries) };
}
