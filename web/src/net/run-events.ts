// What happens in a job, from both sources: the community's socket messages, and Easel's numbered events.

import type { Json, JsonObject } from "../model/json";
import { isArray, isObject } from "../model/json";
import type { JobEvent, JobState } from "./schemas";
import { JOB_STATES } from "./schemas";

export type RunEvent =
  | { readonly kind: "started" }
  | { readonly kind: "cached"; readonly nodes: readonly string[] }
  | { readonly kind: "node-started"; readonly node: string }
  | { readonly kind: "progress"; readonly node: string; readonly value: number; readonly max: number }
  | {
      readonly kind: "node-finished";
      readonly node: string;
      readonly output?: JsonObject;
      readonly cached?: boolean;
      readonly seconds?: number;
    }
  | { readonly kind: "output"; readonly node: string; readonly output: JsonObject }
  | { readonly kind: "preview"; readonly node: string; readonly url: string }
  | ({ readonly kind: "failed" } & Failure)
  | { readonly kind: "note"; readonly node: string; readonly message: string }
  | { readonly kind: "ended"; readonly state: JobState };

/** Why a job failed while it ran. */
export interface Failure {
  /** The node that failed; none if it was not one node. */
  readonly node?: string;
  readonly message: string;
  /** The class of the error, such as `ValueError`. */
  readonly exception: string;
  /** What the node was given, in short. */
  readonly inputs: JsonObject;
}

/** The events in a message of the socket `/ws`; none if it says nothing of a job. */
export function eventsOf(type: string, data: JsonObject): readonly RunEvent[] {
  const node = text(data["display_node"]) || text(data["node"]);
  switch (type) {
    case "execution_start":
      return [{ kind: "started" }];
    case "execution_cached":
      return [{ kind: "cached", nodes: texts(data["nodes"]) }];
    case "executing":
      return node === "" ? [] : [{ kind: "node-started", node }];
    case "progress":
      return node === "" ? [] : [{ kind: "progress", node, value: number(data["value"]), max: number(data["max"]) }];
    case "progress_state":
      return isObject(data["nodes"]) ? Object.values(data["nodes"]).filter(isObject).flatMap(nodeState) : [];
    case "executed":
      return isObject(data["output"]) ? [{ kind: "output", node, output: data["output"] }] : [];
    default:
      return endOf(type, data);
  }
}

function endOf(type: string, data: JsonObject): readonly RunEvent[] {
  if (type === "execution_success") return [{ kind: "ended", state: "done" }];
  if (type === "execution_interrupted") return [{ kind: "ended", state: "cancelled" }];
  return type === "execution_error" ? socketFailure(data) : [];
}

function nodeState(entry: JsonObject): RunEvent[] {
  const node = text(entry["display_node_id"]) || text(entry["node_id"]);
  const [value, max] = [number(entry["value"]), number(entry["max"])];
  if (node === "") return [];
  if (entry["state"] === "finished") return [{ kind: "node-finished", node }];
  return entry["state"] === "running" ? [{ kind: "progress", node, value, max }] : [];
}

function socketFailure(data: JsonObject): readonly RunEvent[] {
  const given = isObject(data["current_inputs"]) ? data["current_inputs"] : {};
  const inputs = Object.entries(given).map(([name, value]): [string, Json] => [
    name,
    isArray(value) && value.length === 1 ? (value[0] ?? null) : value,
  ]);
  const [node, exception] = [text(data["node_id"]), text(data["exception_type"])];
  const message = text(data["exception_message"]).trimEnd();
  // A blocked branch is told as an error, although the prompt goes on.
  if (exception === "ExecutionBlocked") return node === "" ? [] : [{ kind: "note", node, message }];
  const failure = { message, exception, inputs: Object.fromEntries(inputs), ...(node === "" ? {} : { node }) };
  return [
    { kind: "failed", ...failure },
    { kind: "ended", state: "failed" },
  ];
}

/** The events in one of Easel's own. */
export function eventsOfOwn({ event, data }: JobEvent): readonly RunEvent[] {
  const node = text(data["node"]);
  switch (event) {
    case "Started":
      return [{ kind: "started" }, { kind: "cached", nodes: texts(data["cached"]) }];
    case "NodeStarted":
      return [{ kind: "node-started", node }];
    case "Progress":
      return [{ kind: "progress", node, value: number(data["value"]), max: number(data["total"]) }];
    case "NodeFinished":
      return [
        {
          kind: "node-finished",
          node,
          cached: data["cached"] === true,
          seconds: number(data["seconds"]),
          ...(isObject(data["output"]) ? { output: data["output"] } : {}),
        },
      ];
    case "Warned":
      return [{ kind: "note", node, message: text(data["text"]) }];
    case "Blocked":
      return [{ kind: "note", node, message: text(data["message"]) }];
    case "Failed":
      return [{ kind: "failed", ...readFailure(data) }];
    case "Ended":
      return JOB_STATES.filter((state) => state === data["state"]).map((state) => ({ kind: "ended", state }));
    default:
      return [];
  }
}

/** A failure as Easel writes it: in its events, and as a job's `error`. */
export function readFailure(data: JsonObject): Failure {
  const node = text(data["node"]);
  return {
    message: text(data["message"]).trimEnd(),
    exception: text(data["exception"]),
    inputs: isObject(data["inputs"]) ? data["inputs"] : {},
    ...(node === "" ? {} : { node }),
  };
}

const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");
const number = (value: Json | undefined): number => (typeof value === "number" ? value : 0);
const texts = (value: Json | undefined): string[] => (isArray(value) ? value.map(String) : []);
