// From what the server objects to, to whole sentences: what was expected, what was there, what to do.

import { t } from "../../i18n";
import { inputNamed } from "../../model/inputs";
import type { Json } from "../../model/json";
import { writeJson } from "../../model/json";
import type { NodeType, NodeTypes } from "../../model/types";
import type { Expected, Failure, Fault, Faults } from "../../net";
import { ServerError, UnreachableError } from "../../net";
import type { NodeError } from "../../state/runs";

/** An error with the parts that the list shows apart from its sentence. */
export interface DetailedError extends NodeError {
  readonly level: "error" | "note";
  readonly nodeType?: string;
  /** What was there, as text. */
  readonly value?: string;
  readonly allowed?: readonly string[];
}

export type Errors = Readonly<Record<string, readonly DetailedError[]>>;

/** The key of errors that belong to no node. */
export const WHOLE = "";

const MOST_SHOWN = 12;

export const isDetailed = (error: NodeError): error is DetailedError => "level" in error;

/** The errors of each node; `types` know what is allowed where the server leaves out a long list. */
export function describeFaults(faults: Faults, types: NodeTypes): Errors {
  const entries = Object.entries(faults).map(([node, { type, faults: own }]): [string, DetailedError[]] => [
    node,
    own.map((fault) => describeFault(fault, type, types.get(type))),
  ]);
  return Object.fromEntries(entries);
}

export function describeFault(fault: Fault, typeName: string, type: NodeType | undefined): DetailedError {
  const expected = withChoices(fault, type);
  const value = fault.received === undefined ? undefined : shown(fault.received);
  const allowed = allowedBy(expected);
  const message = sentence(fault, type?.title ?? typeName, value, expected);
  return {
    level: "error",
    message,
    nodeType: typeName,
    ...(fault.input === undefined ? {} : { input: fault.input }),
    // Where the value and what is allowed are told apart, the server's own words say nothing more.
    ...(message.includes(fault.details) || (value !== undefined && allowed.length > 0) ? {} : { details: fault.details }),
    ...(value === undefined ? {} : { value }),
    ...(allowed.length === 0 ? {} : { allowed }),
  };
}

function sentence(fault: Fault, node: string, value: string | undefined, expected: Expected | undefined): string {
  const key = SENTENCES[fault.type] ?? "errors.other";
  const { input = "", message: said, details, hint } = fault;
  const [min, max] = [expected?.min, expected?.max].map((end) => (end === undefined ? "" : String(end)));
  const text = t(key, { node, input, value: value ?? "", min, max, type: expected?.type ?? "", said, details });
  const guess = key === "errors.notInList" ? guessOf(value, expected) : undefined;
  const hinted = hint === undefined || text.includes(hint) || (guess !== undefined && hint.includes(guess)) ? "" : hint;
  return [text, guess === undefined ? "" : t("errors.nearest", { near: guess }), hinted].filter(Boolean).join(" ");
}

const guessOf = (value: string | undefined, expected: Expected | undefined): string | undefined =>
  value === undefined || expected?.choices === undefined ? undefined : nearest(value, expected.choices.map(shown));

const SENTENCES: Readonly<Record<string, string>> = {
  required_input_missing: "errors.missing",
  bad_linked_input: "errors.badLink",
  return_type_mismatch: "errors.mismatch",
  invalid_input_type: "errors.wrongType",
  value_smaller_than_min: "errors.tooSmall",
  value_bigger_than_max: "errors.tooLarge",
  value_not_in_list: "errors.notInList",
  custom_validation_failed: "errors.custom",
  missing_link_source: "errors.noSource",
  bad_output_slot: "errors.noOutput",
  graph_cycle: "errors.cycle",
};

function withChoices(fault: Fault, type: NodeType | undefined): Expected | undefined {
  if (fault.expected?.choices !== undefined || fault.type !== "value_not_in_list") return fault.expected;
  const widget = inputNamed(type, fault.input ?? "")?.widget;
  return widget?.kind === "choice" ? { type: "COMBO", choices: widget.options } : fault.expected;
}

/** What is allowed, in words: choices, or the ends of a range. */
export function allowedBy(expected: Expected | undefined): string[] {
  if (expected === undefined) return [];
  if (expected.choices !== undefined) return expected.choices.map(shown);
  const { min, max, type } = expected;
  if (min !== undefined && max !== undefined) return [t("errors.range", { min: String(min), max: String(max) })];
  if (min !== undefined) return [t("errors.atLeast", { min: String(min) })];
  if (max !== undefined) return [t("errors.atMost", { max: String(max) })];
  return type === "" || type === "COMBO" ? [] : [type];
}

/** The first few of `allowed`, and how many more there are. */
export const abridged = (allowed: readonly string[]): { readonly shown: readonly string[]; readonly more: number } => ({
  shown: allowed.slice(0, MOST_SHOWN),
  more: Math.max(0, allowed.length - MOST_SHOWN),
});

/** Why a job failed while it ran. */
export function describeFailure(failure: Failure): DetailedError {
  const given = Object.entries(failure.inputs).map(([name, value]) => `${name} = ${shown(value)}`);
  const oom = /OutOfMemory|MemoryError/.test(failure.exception);
  return {
    level: "error",
    message: t(oom ? "errors.memory" : "errors.raised", { said: failure.message, exception: failure.exception }),
    ...(given.length === 0 ? {} : { details: given.join("\n") }),
  };
}

export const describeNote = (message: string): DetailedError => ({ level: "note", message });

/** The errors in what a submission was answered with. */
export function describeRefusal(error: unknown, types: NodeTypes): Errors {
  if (!(error instanceof ServerError)) return { [WHOLE]: [whole(saidBy(error))] };
  const faults = describeFaults(error.faults, types);
  if (Object.keys(faults).length > 0) return faults;
  const node = /Node ID '#(.+)'/.exec(error.more.details ?? "")?.[1] ?? WHOLE;
  const hint = error.more.hint === undefined ? "" : ` ${error.more.hint}`;
  const details = node === WHOLE ? error.more.details : undefined;
  return { [node]: [{ ...whole(`${error.message}${hint}`), ...(details === undefined ? {} : { details }) }] };
}

const whole = (message: string): DetailedError => ({ level: "error", message });

/** One sentence for anything that was thrown. */
export function saidBy(error: unknown): string {
  if (error instanceof UnreachableError) return t("errors.unreachable");
  return error instanceof Error ? error.message : String(error);
}

export const merged = (...all: readonly Errors[]): Errors => {
  const result: Record<string, readonly DetailedError[]> = {};
  for (const errors of all) {
    for (const [node, own] of Object.entries(errors)) result[node] = [...(result[node] ?? []), ...own];
  }
  return result;
};

const shown = (value: Json): string => (typeof value === "string" ? value : writeJson(value));

/** The choice that differs least, if it differs little. */
export function nearest(value: string, choices: readonly string[]): string | undefined {
  const scored = choices.slice(0, 2000).map((choice) => [distance(value.toLowerCase(), choice.toLowerCase()), choice] as const);
  const best = scored.sort(([one], [other]) => one - other)[0];
  return best !== undefined && best[0] <= Math.max(2, value.length / 3) ? best[1] : undefined;
}

/** How many letters have to be changed, added or taken away. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let at = 1; at <= one.length; at++) {
    const next = [at];
    for (let place = 1; place <= other.length; place++) {
      const changed = (row[place - 1] ?? 0) + (one[at - 1] === other[place - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[place] ?? 0) + 1, (next[place - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
