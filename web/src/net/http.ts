// One request and its answer: JSON that rounds no number, and errors that say what the server said.

import type * as z from "zod/mini";
import type { Json, JsonObject } from "../model/json";
import { isObject, parseJson, writeJson } from "../model/json";
import { AnswerError, isAbort, ServerError, UnreachableError } from "./errors";
import { readFaults } from "./faults";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;
type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Options {
  readonly query?: Query;
  readonly signal?: AbortSignal | undefined;
}

export interface Http {
  /** The address of a route of this server. */
  url(path: string, query?: Query): string;
  get<T>(path: string, shape: Shape<T>, options?: Options): Promise<T>;
  post<T>(path: string, body: Json | FormData | string, shape: Shape<T>, options?: Options): Promise<T>;
  /** Requests whose answer says nothing but that it went well. */
  send(method: "POST" | "DELETE", path: string, body?: Json, options?: Options): Promise<void>;
  text(path: string, options?: Options): Promise<string>;
}

/** A schema of zod; only this much of it is used. */
export type Shape<T> = z.ZodMiniType<T>;

const LONG_NUMBER = /\d{16}/;

/** The JSON in `text`. The exact reader is slower, so it reads only what may hold a number that a double cannot. */
export const readJson = (text: string): Json =>
  LONG_NUMBER.test(text) || text.includes("NaN") ? parseJson(text, 1000) : (JSON.parse(text) as Json);

export function createHttp(base: string, fetcher: Fetch): Http {
  const url = (path: string, query: Query = {}): string => {
    const pairs = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)] satisfies [string, string]],
    );
    const asked = new URLSearchParams(pairs).toString();
    return `${base}${path}${asked === "" ? "" : `?${asked}`}`;
  };

  const request = async (method: string, path: string, body: Body, options: Options): Promise<Response> => {
    const init: RequestInit = { method, ...encoded(body) };
    if (options.signal) init.signal = options.signal;
    const answer = await reach(() => fetcher(url(path, options.query), init), path);
    if (answer.ok) return answer;
    throw refusal(answer.status, await reach(() => answer.text(), path), path);
  };

  const read = async <T>(answer: Response, path: string, shape: Shape<T>): Promise<T> =>
    checked(await reach(() => answer.text(), path), path, shape);

  return {
    url,
    get: async (path, shape, options = {}) => read(await request("GET", path, undefined, options), path, shape),
    post: async (path, body, shape, options = {}) => read(await request("POST", path, body, options), path, shape),
    send: async (method, path, body, options = {}) => {
      await request(method, path, body, options);
    },
    text: async (path, options = {}) => {
      const answer = await request("GET", path, undefined, options);
      return reach(() => answer.text(), path);
    },
  };
}

type Body = Json | FormData | undefined;

function encoded(body: Body): RequestInit {
  if (body === undefined) return {};
  if (body instanceof FormData) return { body };
  const json = typeof body === "string" ? body : writeJson(body);
  return { body: json, headers: { "Content-Type": "application/json" } };
}

async function reach<T>(ask: () => Promise<T>, path: string): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new UnreachableError(`${path}: no answer`, { cause: error });
  }
}

function checked<T>(text: string, path: string, shape: Shape<T>): T {
  let data: Json;
  try {
    data = readJson(text);
  } catch (error) {
    throw new AnswerError(path, error instanceof Error ? error.message : "no JSON");
  }
  const result = shape.safeParse(data);
  if (result.success) return result.data;
  const [first] = result.error.issues;
  throw new AnswerError(path, `${first?.path.map(String).join(".") ?? ""}: ${first?.message ?? "another shape"}`);
}

/** The error in an answer: RFC 9457, the community's form, or neither. */
export function refusal(status: number, text: string, path: string): ServerError {
  const data = readObject(text);
  const community = isObject(data["error"]) ? data["error"] : {};
  const faults = readFaults(data["node_errors"]);
  const extra = isObject(community["extra_info"]) ? community["extra_info"] : {};
  const code = string(community["type"]) || string(data["code"]) || `http_${status}`;
  const message =
    string(community["message"]) || string(data["detail"]) || string(data["error"]) || `${path}: HTTP ${status}`;
  const more = { where: string(data["where"]), details: string(community["details"]), hint: string(extra["hint"]) };
  const said = Object.fromEntries(Object.entries(more).filter(([, value]) => value !== ""));
  return new ServerError(status, code, message, said, faults);
}

function readObject(text: string): JsonObject {
  try {
    const data = readJson(text);
    return isObject(data) ? data : {};
  } catch {
    return {};
  }
}

const string = (value: Json | undefined): string => (typeof value === "string" ? value : "");
