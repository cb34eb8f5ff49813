// How long a job will take, from how long its nodes took before: medians by node type and size, kept on this machine.

import type { Json, JsonObject } from "../../model/json";
import { isObject } from "../../model/json";
import type { JobRun, RunNode } from "../../net";

export interface Estimates {
  /** Remember how long the nodes of a job took. */
  learn(prompt: JsonObject, nodes: Readonly<Record<string, RunNode>>): void;
  /** Seconds that a job still needs; undefined while too little is known. */
  remaining(prompt: JsonObject, run: JobRun): number | undefined;
}

type Samples = Record<string, number[]>;
type Local = Pick<Storage, "getItem" | "setItem">;

const KEY = "easel.seconds";
const SAMPLES = 15;
const MOST_KEYS = 400;
/** A node that nothing is known of is taken as quick, unless more than this part of a job is unknown. */
const UNKNOWN_PART = 0.5;

export function createEstimates(local: Local | undefined = browserStorage()): Estimates {
  let samples = read(local);
  return {
    learn: (prompt, nodes) => {
      const size = sizeOf(prompt);
      const timed = Object.entries(nodes).flatMap(([id, { state, seconds }]) => {
        const found = seconds === undefined || state !== "done" ? undefined : keyOf(prompt[id], size);
        return found === undefined || seconds === undefined ? [] : [{ key: found.key, seconds: seconds / found.steps }];
      });
      if (timed.length === 0) return;
      for (const { key, seconds } of timed) {
        const known = samples[key] ?? [];
        Reflect.deleteProperty(samples, key); // what was used last stands last
        samples[key] = [...known.slice(-SAMPLES + 1), Math.round(seconds * 1e4) / 1e4];
      }
      samples = Object.fromEntries(Object.entries(samples).slice(-MOST_KEYS));
      write(local, samples);
    },
    remaining: (prompt, run) => {
      const size = sizeOf(prompt);
      const open = Object.entries(run.nodes).filter(([, node]) => node.state === "waiting" || node.state === "running");
      const parts = open.map(([id, node]) => {
        const found = keyOf(prompt[id], size);
        const usual = found === undefined ? undefined : median(samples[found.key]);
        if (usual === undefined || found === undefined) return undefined;
        const done = node.state === "running" && node.max ? (node.value ?? 0) / node.max : 0;
        return usual * found.steps * (1 - done);
      });
      const known = parts.filter((part) => part !== undefined);
      if (open.length > 0 && known.length < open.length * UNKNOWN_PART) return undefined;
      return known.reduce((sum, part) => sum + part, 0);
    },
  };
}

/** What a node's time depends on: its type, the size of the pictures, and, apart, its steps. */
export function keyOf(node: Json | undefined, size: string): { readonly key: string; readonly steps: number } | undefined {
  if (!isObject(node) || typeof node["class_type"] !== "string") return undefined;
  const steps = isObject(node["inputs"]) ? node["inputs"]["steps"] : undefined;
  return { key: `${node["class_type"]}|${size}`, steps: typeof steps === "number" && steps > 0 ? steps : 1 };
}

/** The largest picture that a prompt speaks of, times how many, in steps of a factor of two. */
export function sizeOf(prompt: JsonObject): string {
  const pixels = Object.values(prompt).map((node) => {
    const inputs = isObject(node) && isObject(node["inputs"]) ? node["inputs"] : {};
    const [width, height, many] = ["width", "height", "batch_size"].map((name) => inputs[name]);
    if (typeof width !== "number" || typeof height !== "number") return 0;
    return width * height * (typeof many === "number" ? many : 1);
  });
  const most = Math.max(0, ...pixels);
  return most === 0 ? "-" : String(Math.round(Math.log2(most)));
}

export function median(values: readonly number[] | undefined): number | undefined {
  if (values === undefined || values.length === 0) return undefined;
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 0 && low !== undefined && high !== undefined ? (low + high) / 2 : high;
}

function read(local: Local | undefined): Samples {
  try {
    const data = JSON.parse(local?.getItem(KEY) ?? "{}") as unknown;
    if (!isObject(data)) return {};
    const fits = Object.entries(data).filter(([, value]) => Array.isArray(value) && value.every((one) => typeof one === "number"));
    return Object.fromEntries(fits) as unknown as Samples;
  } catch {
    return {};
  }
}

function write(local: Local | undefined, samples: Samples): void {
  try {
    local?.setItem(KEY, JSON.stringify(samples));
  } catch {
    // a full store costs an estimate, nothing else
  }
}

function browserStorage(): Local | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}
