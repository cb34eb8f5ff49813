// Small readers of JSON in the shapes that files of any age have.

import type { Point, Size, Slot } from "../document";
import { isArray, isObject, JsonError, parseJson, type Json, type JsonObject } from "../json";
import { FormatError } from "./errors";

/** A workflow of 10,000 nodes has 8 MB; reading more than this would hold up the page for seconds. */
export const MAX_TEXT = 32 * 2 ** 20;

/** Key under which `rest` holds how the file spelled something; never written to a file. */
export const FILE = "\u0000file";

/** The JSON in `text`; `where` names the part of the file that it is. */
export function parseText(text: string, where = ""): Json {
  if (text.length > MAX_TEXT) throw tooLarge(text.length, where);
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) throw new FormatError("not-json", error.message, "Open a workflow that was saved whole.", where);
    throw error;
  }
}

export const tooLarge = (size: number, where = ""): FormatError =>
  new FormatError(
    "too-large",
    `${Math.ceil(size / 2 ** 20)} MB of workflow are more than the limit of ${MAX_TEXT / 2 ** 20} MB`,
    "Remove pictures or other large data from it, or split it into several workflows.",
    where,
  );

export const badShape = (path: string, expected: string, got: Json | undefined): FormatError =>
  new FormatError("bad-shape", `expected ${expected}, got ${shown(got)}`, "The file is damaged there: open another copy of it.", path);

function shown(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  if (isArray(value)) return "a list";
  if (isObject(value)) return "an object";
  return typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value);
}

export const textOf = (value: Json | undefined): string => (typeof value === "string" ? value : "");

/** An own member only: names in files may be those of built-in members. */
export const member = <T>(object: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

export const objectOf = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

export function listOf(value: Json | undefined, path: string): readonly Json[] {
  if (value === undefined || value === null) return [];
  if (isArray(value)) return value;
  throw badShape(path, "a list", value);
}

/** An id as text, or undefined: files write numbers or text. */
export function idOf(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (typeof value === "bigint") return value.toString();
  return Number.isInteger(value) ? String(value) : undefined;
}

/** An id as files write it: a number if it is one. */
export function writtenId(id: string): Json {
  const number = Number(id);
  return /^(0|-?[1-9]\d*)$/.test(id) && Number.isSafeInteger(number) ? number : id;
}

/** A position in a list or a mode; old files write some as text. */
export function wholeOf(value: Json | undefined): number | undefined {
  if (typeof value === "string") return /^\d{1,9}$/.test(value) ? Number(value) : undefined;
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}

/** Old files write the list of choices for a choice, and numbers for any type and for events. */
export const typeOf = (value: Json | undefined): string =>
  typeof value === "string" ? value : isArray(value) ? "COMBO" : "*";

const finite = (value: Json | undefined): number | undefined => (typeof value === "number" ? value : undefined);

function pair(value: Json | undefined): [number | undefined, number | undefined] {
  if (isArray(value)) return [finite(value[0]), finite(value[1])];
  return isObject(value) ? [finite(value["0"]), finite(value["1"])] : [undefined, undefined];
}

export function pointOf(value: Json | undefined): Point {
  const [x, y] = pair(value);
  return { x: x ?? 0, y: y ?? 0 };
}

export function sizeOf(value: Json | undefined, otherwise: Size): Size {
  const [width, height] = pair(value);
  return { width: width ?? otherwise.width, height: height ?? otherwise.height };
}

export const without = (object: JsonObject, keys: ReadonlySet<string>): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([key]) => !keys.has(key) && key !== FILE));

/** Whether two values are equal as JSON; the order of keys does not count. */
export function same(left: unknown, right: unknown): boolean {
  if (Object.is(left, right) || left === right) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((item, place) => same(item, right[place]));
  }
  const [one, two] = [left as Record<string, unknown>, right as Record<string, unknown>];
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(two).length) return false;
  return keys.every((key) => Object.hasOwn(two, key) && same(one[key], two[key]));
}

/** Fields of an object to write; what is undefined is not written. */
export type Fields = readonly (readonly [string, Json | undefined])[];

/** An object of `fields`, in the order that the file had them in; new ones after those. */
export function inOrderOf(file: JsonObject | undefined, fields: Fields): JsonObject {
  const given = new Map<string, Json>();
  for (const [key, value] of fields) if (value !== undefined) given.set(key, value);
  const ordered: [string, Json][] = [];
  for (const key of Object.keys(file ?? {})) {
    const value = given.get(key);
    if (value === undefined) continue;
    ordered.push([key, value]);
    given.delete(key);
  }
  return Object.fromEntries([...ordered, ...given]);
}

/** How the file spelled what `rest` belongs to, if it comes from a file, and what was made of it. */
export const fileOf = (rest: JsonObject | undefined): JsonObject => objectOf(rest?.[FILE]);

/** The object that the file had there, if there was one. */
export const spelledBy = (rest: JsonObject | undefined): JsonObject | undefined => {
  const raw = fileOf(rest)["raw"];
  return isObject(raw) ? raw : undefined;
};

/** `rest` that remembers how the file spelled it. */
/** In `extra` of version 0.4: the ids of links that are hidden, which rows of it have no room for. */
export const HIDDEN_LINKS = "easelHiddenLinks";

export const remembering = (rest: JsonObject, raw: Json, more: JsonObject = {}): JsonObject => ({
  ...rest,
  [FILE]: { raw, ...more },
});

/** `raw` in its order of keys, without the values of keys that are kept elsewhere. */
export const outline = (raw: JsonObject, known: ReadonlySet<string>): JsonObject =>
  Object.fromEntries(Object.entries(raw).map(([key, value]) => [key, known.has(key) ? value : null]));

/** `read(file[key])` is what the file said: if that is still so it keeps its spelling, else `written` replaces it. */
export function kept<T>(
  file: JsonObject | undefined,
  key: string,
  read: (value: Json | undefined) => T,
  now: T,
  written: Json | undefined,
): readonly [string, Json | undefined] {
  if (file === undefined) return [key, written];
  const spelled = member(file, key);
  return [key, same(read(spelled), now) ? spelled : written];
}

/** `names` made unique: the second `IMAGE` is `IMAGE (2)`. */
export function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set(names);
  const counts = new Map<string, number>();
  return names.map((name) => {
    let count = counts.get(name) ?? 0;
    let unique = name;
    if (count > 0) {
      do unique = `${name} (${++count})`;
      while (taken.has(unique));
      taken.add(unique);
    } else count = 1;
    counts.set(name, count);
    return unique;
  });
}

/** What the file calls a slot: of two with one name the second goes by another here, and outputs go by their definition. */
export const saidName = (slot: Slot): string => (typeof slot.rest?.["name"] === "string" ? slot.rest["name"] : slot.name);

/** `value` without what only says how a file spelled it, for comparisons. Maps become lists of entries. */
export function withoutSpelling(value: unknown): unknown {
  if (value instanceof Map) return [...value].map((entry) => withoutSpelling(entry));
  if (Array.isArray(value)) return value.map(withoutSpelling);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .filter(([key, item]) => key !== FILE && item !== undefined)
    .map(([key, item]): [string, unknown] => [key, withoutSpelling(item)]);
  return Object.fromEntries(entries.filter(([key, item]) => key !== "rest" || !same(item, {})));
}

/** The highest number among ids, 0 if none is one. */
export function highest(ids: Iterable<string>): number {
  let last = 0;
  for (const id of ids) if (/^\d{1,15}$/.test(id)) last = Math.max(last, Number(id));
  return last;
}
