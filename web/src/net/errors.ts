// What can go wrong between the page and the server. Each says what a person needs; none holds a half-read answer.

import type { Json } from "../model/json";

/** One thing that is wrong with one node, as the server says it. */
export interface Fault {
  /** Stable, such as `value_not_in_list`. */
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly input?: string;
  /** What was there. Absent if nothing was, or if the server does not say. */
  readonly received?: Json;
  /** The input as the node type declares it: its type or choices, and its options. */
  readonly expected?: Expected;
  readonly hint?: string;
}

export interface Expected {
  readonly type: string;
  readonly choices?: readonly Json[];
  readonly min?: number | bigint;
  readonly max?: number | bigint;
}

/** By node id. */
export type Faults = Readonly<Record<string, NodeFaults>>;

export interface NodeFaults {
  readonly type: string;
  readonly faults: readonly Fault[];
  /** The outputs that will not run because of it. */
  readonly outputs: readonly string[];
}

export const NO_FAULTS: Faults = {};

/** The server refused: `code` is stable, `message` is for people. */
export class ServerError extends Error {
  override readonly name: string = "ServerError";
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly more: { readonly where?: string; readonly details?: string; readonly hint?: string } = {},
    readonly faults: Faults = NO_FAULTS,
  ) {
    super(message);
  }
}

/** No answer came: the server is away, or the line is. */
export class UnreachableError extends Error {
  override readonly name: string = "UnreachableError";
}

/** An answer that makes no sense; `where` is the route. */
export class AnswerError extends Error {
  override readonly name: string = "AnswerError";
  constructor(
    readonly where: string,
    message: string,
  ) {
    super(`${where}: ${message}`);
  }
}

/** Somebody saved the file meanwhile. `current` is what it holds now, undefined if it is gone. */
export class ConflictError extends Error {
  override readonly name: string = "ConflictError";
  constructor(
    readonly path: string,
    readonly current: { readonly text: string; readonly revision: string } | undefined,
  ) {
    super(`${path} was changed by somebody else`);
  }
}

export const isMissing = (error: unknown): boolean => error instanceof ServerError && error.status === 404;
export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
