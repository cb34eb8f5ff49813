// Which saved value belongs to which widget. `widgets_values` is a list in the order of the definition, with values
// between that only editors use: after a seed what becomes of it after a run, after an upload the kind of the file.

import type { AfterRun } from "../../document";
import { isArray, isObject, spelledAs, type Json, type JsonObject } from "../../json";
import { inOrderOf, member, objectOf, same } from "../shape";

/** The place of a widget's value in a list. */
export interface Row {
  /** Undefined: a value that belongs to something else. */
  readonly name: string | undefined;
  /** An after-run control may follow. */
  readonly control?: boolean;
  /** The widget is a switch: a switch before it is not the old spelling of a control. */
  readonly isSwitch?: boolean;
  /** The kind of file that may be uploaded; it may follow as a value. */
  readonly upload?: string;
  readonly fallback: Json;
  /** The rows that a value brings, right behind it: the inputs of a choice. */
  readonly brings?: (value: Json) => readonly Row[];
}

/** The rows of a node without those that values bring; of an instance they depend on how many values the file has. */
export type Layout = (saved: number | undefined) => readonly Row[];

export interface Named {
  readonly values: Readonly<Record<string, Json>>;
  readonly control: Readonly<Record<string, AfterRun>>;
}

export const LIST = "widgets_values";
export const NAMED = "widgets_values_named";
/** Our own key, for controls that have no place in a list. */
export const CONTROLS = "control_after_generate";

export const MODES: ReadonlyMap<Json, AfterRun> = new Map<Json, AfterRun>([
  ["fixed", "fixed"],
  ["increment", "increment"],
  ["decrement", "decrement"],
  ["randomize", "randomize"],
  ["increment-wrap", "increment"],
  [true, "randomize"],
  [false, "fixed"],
]);

interface Place {
  readonly row: Row;
  readonly at: number;
  readonly control?: number;
}

/** Where the values stand in `list`. Extras are judged by value too, because programs leave them out. */
function places(rows: readonly Row[], list: readonly Json[]): Place[] {
  const found: Place[] = [];
  const waiting = [...rows].reverse();
  let at = 0;
  for (let row = waiting.pop(); row !== undefined && at < list.length; row = waiting.pop()) {
    const extra = list[at + 1];
    waiting.push(...brought(row, list[at] ?? null).reverse());
    const follows = at + 1 < list.length && isExtra(extra ?? null, row, waiting.at(-1));
    found.push({ row, at, ...(follows && row.control === true ? { control: at + 1 } : {}) });
    at += follows ? 2 : 1;
  }
  return found;
}

const brought = (row: Row, value: Json): Row[] => [...(row.brings?.(value) ?? [])];

/** `rows` with those that the values of now bring. */
const complete = (rows: readonly Row[], now: Named): Row[] =>
  rows.flatMap((row) => [row, ...complete(brought(row, valueOf(row, now)), now)]);

const valueOf = (row: Row, now: Named): Json =>
  row.name === undefined ? null : (member(now.values, row.name) ?? row.fallback);

function isExtra(value: Json, row: Row, following: Row | undefined): boolean {
  if (row.control === true) {
    if (typeof value === "boolean") return following?.isSwitch !== true;
    return MODES.has(value);
  }
  return row.upload !== undefined && (value === row.upload || value === "image");
}

/** The values and controls by name that `node`, a node of a file, holds. */
export function readValues(layout: Layout, node: JsonObject): Named {
  const saved = member(node, LIST);
  const values = new Map<string, Json>();
  const control = new Map<string, AfterRun>();
  if (isArray(saved)) {
    for (const place of places(layout(saved.length), saved)) {
      if (place.row.name === undefined) continue;
      values.set(place.row.name, saved[place.at] ?? null);
      const mode = place.control === undefined ? undefined : MODES.get(saved[place.control] ?? null);
      if (mode !== undefined) control.set(place.row.name, mode);
    }
  }
  const named = [...(isObject(saved) ? Object.entries(saved) : []), ...Object.entries(objectOf(member(node, NAMED)))];
  for (const [name, value] of named) values.set(name, value);
  for (const [name, word] of Object.entries(objectOf(member(node, CONTROLS)))) {
    const mode = typeof word === "string" ? MODES.get(word) : undefined;
    if (mode !== undefined) control.set(name, mode);
  }
  return {
    values: Object.fromEntries([...values].filter(([, value]) => value !== null)),
    control: Object.fromEntries(control),
  };
}

/**
 * The fields of a file for `now`. `file` is the node as it was read and `before` what was read from it: while nothing
 * changed it keeps its spelling, and otherwise as much of it as fits.
 */
export function writeValues(layout: Layout | undefined, file: JsonObject, before: Named | undefined, now: Named): JsonObject {
  if (before !== undefined && same(before.values, now.values) && same(before.control, now.control)) return file;
  const saved = member(file, LIST);
  if (layout === undefined || isObject(saved)) return byName(file, now);
  const inPlace = isArray(saved) ? replaced(layout(saved.length), saved, now) : undefined;
  for (const list of [inPlace, inFull(layout(undefined), now)]) {
    if (list === undefined) continue;
    const fields = { ...(list.length > 0 ? { [LIST]: list } : {}), ...namedToo(file, list, layout, now) };
    if (holds(layout, fields, now)) return fields;
  }
  return byName(file, now);
}

/** The list with values and controls changed where they stand; undefined if some have no place. */
function replaced(rows: readonly Row[], list: readonly Json[], now: Named): Json[] | undefined {
  const result = [...list];
  const placed = places(rows, list);
  const wanted = complete(rows, now);
  if (placed.some(({ row }, place) => row !== wanted[place])) return undefined;
  const missing = wanted.slice(placed.length).some(({ name }) => name !== undefined && Object.hasOwn(now.values, name));
  if (missing) return undefined;
  for (const { row, at, control } of placed) {
    if (row.name === undefined) continue;
    result[at] = valueOf(row, now);
    const mode = member(now.control, row.name);
    if (mode === undefined) continue;
    if (control === undefined) return undefined;
    if (MODES.get(list[control] ?? null) !== mode) result[control] = mode;
  }
  return spelledAs(list, result);
}

function inFull(rows: readonly Row[], now: Named): Json[] {
  return complete(rows, now).flatMap((row) => {
    const value = valueOf(row, now);
    const mode = row.name === undefined ? undefined : member(now.control, row.name);
    if (row.control === true) return [value, mode ?? "fixed"];
    return row.upload === undefined ? [value] : [value, row.upload];
  });
}

/** What goes beside the list: names that it does not have, controls without a place, names that the file had. */
function namedToo(file: JsonObject, list: readonly Json[], layout: Layout, now: Named): JsonObject {
  const rows = complete(layout(list.length), now);
  const listed = new Set(rows.map((row) => row.name));
  const controlled = new Set(rows.flatMap((row) => (row.control === true ? [row.name] : [])));
  const had = objectOf(member(file, NAMED));
  const named = Object.entries(now.values).filter(([name]) => !listed.has(name) || Object.hasOwn(had, name));
  const control = Object.entries(now.control).filter(([name]) => !controlled.has(name));
  return {
    ...(named.length > 0 ? { [NAMED]: inOrderOf(had, named) } : {}),
    ...(control.length > 0 ? { [CONTROLS]: Object.fromEntries(control) } : {}),
  };
}

function byName(file: JsonObject, now: Named): JsonObject {
  const saved = member(file, LIST);
  const values = Object.entries(now.values);
  const list = values.length > 0 || saved !== undefined ? { [LIST]: inOrderOf(objectOf(saved), values) } : {};
  return Object.keys(now.control).length > 0 ? { ...list, [CONTROLS]: now.control } : list;
}

/** Whether reading `fields` gives all of `now` back. */
function holds(layout: Layout, fields: JsonObject, now: Named): boolean {
  const read = readValues(layout, fields);
  const all = <T>(wanted: Readonly<Record<string, T>>, got: Readonly<Record<string, T>>): boolean =>
    Object.entries(wanted).every(([name, value]) => same(member(got, name), value));
  return all(now.values, read.values) && all(now.control, read.control);
}
