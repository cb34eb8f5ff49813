// The editor's conversion against the server's own, on the same workflows at the same moment: nothing here can go stale.

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { dice, type Dice } from "../edit/testing";
import { readWorkflow } from "../formats/workflow";
import { isWorkflow } from "../formats";
import { isArray, isObject, parseJson, writeJson, type Json, type JsonObject } from "../json";
import { readNodeTypes, type NodeTypes } from "../types";
import { ConvertError, toPrompt } from "./index";

const ROOT = "../";
const PYTHON = process.env["EASEL_PYTHON"] ?? `${ROOT}.venv/bin/python`;
const NOW = new Date(2026, 2, 4, 5, 6, 7);
/** `EASEL_LONG=1` tries ten times as many. */
const VARIANTS = process.env["EASEL_LONG"] === "1" ? 600 : 60;

type Kind = "installed" | "corpus";
interface Case {
  readonly name: string;
  readonly types: Kind;
  readonly workflow: Json;
}

const files = (folder: string, types: Kind): Case[] =>
  readdirSync(`${ROOT}${folder}`)
    .filter((name) => name.endsWith(".json") && !name.endsWith(".prompt.json"))
    .map((name) => ({ name: `${folder}/${name}`, types, workflow: parseJson(readFileSync(`${ROOT}${folder}/${name}`, "utf8")) }));

const FILES = [...files("workflows", "installed"), ...files("tests/data/workflows", "corpus")];

/** Places that say what runs: other values there make another workflow that is one all the same. */
const FIELDS: ReadonlySet<string> = new Set(["mode", "link", "type", "name", "widgets_values", "widgets_values_named", "inputs", "links", "nodes", "title"]);

type Place = readonly (string | number)[];

function* places(data: Json, place: Place = []): Generator<[Place, Json]> {
  const entries: [string | number, Json][] = isArray(data) ? [...data.entries()] : isObject(data) ? Object.entries(data) : [];
  for (const [key, item] of entries) {
    const next = [...place, key];
    const owner = next.findLast((part) => typeof part === "string");
    if (typeof owner === "string" && FIELDS.has(owner)) yield [next, item];
    yield* places(item, next);
  }
}

function changed(data: Json, [key, ...rest]: Place, to: Json | undefined): Json {
  if (key === undefined) return to ?? null;
  if (isArray(data)) {
    if (rest.length === 0 && to === undefined) return data.filter((_, place) => place !== key);
    return data.map((item, place) => (place === key ? changed(item, rest, to) : item));
  }
  const entries = Object.entries(data as JsonObject).flatMap(([name, item]): [string, Json][] => {
    if (name !== String(key)) return [[name, item]];
    return rest.length === 0 && to === undefined ? [] : [[name, changed(item, rest, to)]];
  });
  return Object.fromEntries(entries);
}

const ownerOf = (place: Place): unknown => place.findLast((part) => typeof part === "string");

/** A workflow made of `data` by a few changes: other modes, links, types, names and values, things left out. */
function variant(data: Json, roll: Dice): Json {
  let now = data;
  for (let count = 1 + roll(3); count > 0; count--) {
    const all = [...places(now)];
    const [place] = all[roll(all.length)] ?? [];
    if (place === undefined) break;
    const others = all.filter(([other]) => ownerOf(other) === ownerOf(place) && typeof other.at(-1) === typeof place.at(-1));
    const [, value] = others[roll(others.length)] ?? [];
    const to = place.at(-1) === "mode" ? [0, 2, 4][roll(3)] : roll(6) === 0 ? undefined : value;
    now = changed(now, place, to);
  }
  return now;
}

const CASES: readonly Case[] = FILES.flatMap((file, number) => {
  const roll = dice(number);
  const variants = Array.from({ length: VARIANTS }, (_, count) => ({ ...file, name: `variant ${count}`, workflow: variant(file.workflow, roll) }));
  return [file, ...variants];
});

function twin(): { types: Record<Kind, NodeTypes>; answers: readonly JsonObject[] } {
  const input = CASES.map(({ types, workflow }) => writeJson({ types, workflow })).join("\n");
  const output = execFileSync(PYTHON, [`${ROOT}tests/editor/model/twin.py`], { input, encoding: "utf8", maxBuffer: 2 ** 30 });
  const [described, ...answers] = output.trimEnd().split("\n").map((line) => parseJson(line, 200) as JsonObject);
  const typesOf = (kind: Kind): NodeTypes => readNodeTypes(described?.[kind] ?? null);
  return { types: { installed: typesOf("installed"), corpus: typesOf("corpus") }, answers };
}

/** The prompt as one line for each node. `/object_info` cannot say that an optional input stands before a required one. */
const lines = (pairs: readonly Json[]): string =>
  pairs
    .map((pair) => {
      const [id, node] = pair as readonly [string, JsonObject];
      const inputs = Object.entries(node["inputs"] as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1));
      return writeJson([id, { ...node, inputs: Object.fromEntries(inputs) }]);
    })
    .join("\n");

function ours({ workflow }: Case, types: NodeTypes, late: boolean): string {
  const { document } = readWorkflow(workflow, late ? new Map() : types);
  const { prompt, order } = toPrompt(document, types, { random: () => 0, now: NOW });
  return lines(order.map((id) => [id, prompt[id] ?? null]));
}

// Without Python there is nothing to compare with; where it must be there, EASEL_PYTHON names it.
const canRun = process.env["EASEL_PYTHON"] !== undefined || existsSync(PYTHON);

describe.skipIf(!canRun)("the server's own conversion", () => {
  const { types, answers } = canRun ? twin() : { types: undefined, answers: [] };
  const all = CASES.map((one, number) => ({ ...one, answer: answers[number] ?? {} }));
  const typesOf = (one: Case): NodeTypes => types?.[one.types] ?? new Map();

  test.each(all.filter(({ name }) => !name.startsWith("variant")))("is that of the editor, byte for byte: $name", (one) => {
    expect(ours(one, typesOf(one), false)).toBe(lines(one.answer["prompt"] as readonly Json[]));
    expect(ours(one, typesOf(one), true)).toBe(lines(one.answer["prompt"] as readonly Json[]));
  });

  test("is that of the editor for thousands of variants too", () => {
    let compared = 0;
    for (const one of all) {
      const { prompt } = one.answer;
      // What the server refuses the editor may mend.
      if (prompt === undefined || !isWorkflow(one.workflow) || isSenseless(one.workflow)) continue;
      compared++;
      const got = attempt(() => ours(one, typesOf(one), false));
      expect(got, writeJson(one.workflow)).toBe(lines(prompt as readonly Json[]));
    }
    expect(compared).toBeGreaterThan(all.length / 2);
  }, 300_000);
});

/** Sockets of one name, which the editor keeps apart, and primitives with inputs, which no editor makes. */
const isSenseless = (data: JsonObject): boolean =>
  hasTwinSockets(data) || (data["nodes"] as readonly Json[]).some((node) => {
    return isObject(node) && node["type"] === "PrimitiveNode" && isArray(node["inputs"]) && node["inputs"].length > 0;
  });

function hasTwinSockets(data: JsonObject): boolean {
  const subgraphs = isObject(data["definitions"]) ? data["definitions"]["subgraphs"] : [];
  return (isArray(subgraphs) ? subgraphs : []).some((level) =>
    ["inputs", "outputs"].some((side) => {
      const sockets = isObject(level) && isArray(level[side]) ? level[side] : [];
      return new Set(sockets.map((socket) => (isObject(socket) ? socket["name"] : null))).size < sockets.length;
    }),
  );
}

function attempt(convert: () => string): string {
  try {
    return convert();
  } catch (error) {
    if (error instanceof ConvertError) return `${error.code}: ${error.message}`;
    throw error;
  }
}
