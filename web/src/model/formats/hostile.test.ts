// Files that are broken or made to break things: each one opens, or is refused with a sentence of what to do.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { afterRun, ConvertError, toPrompt } from "../convert";
import { faults } from "../edit/sound";
import { levelOf, type Document } from "../document";
import { nodeId, ROOT } from "../ids";
import { parseJson, writeJson, type Json, type JsonObject } from "../json";
import { readNodeTypes, type NodeTypes } from "../types";
import { copyNodes, excerpt, FormatError, paste, readFile, readText, workflowJson, writeWorkflow, type FileResult } from "./index";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const TYPES = readNodeTypes(parseJson(readFileSync("src/model/convert/golden/object_info.json", "utf8")));
const CORPUS_TYPES = readNodeTypes(parseJson(readFileSync("src/model/convert/golden/corpus_object_info.json", "utf8")));

const FOLDERS: readonly (readonly [string, NodeTypes])[] = [["../workflows", TYPES], ["../tests/data/workflows", CORPUS_TYPES]];
const FILES = FOLDERS.flatMap(([folder, types]) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => ({ name, types, data: parseJson(readFileSync(`${folder}/${name}`, "utf8")) })),
);

/** All that is done with a document once it is open; nothing of it may throw but what the model says it throws. */
function handle(document: Document, types: NodeTypes): void {
  const text = writeJson(workflowJson(document, types));
  expect(faults(document).filter((fault) => !/comes from nowhere|leads through no reroute|follows none/.test(fault))).toEqual([]);
  const again = readText(text, types);
  expect(again.ok).toBe(true);
  afterRun(document, types, () => 0.5);
  for (const level of document.levels.values()) {
    const copied = copyNodes(document, level.id, { nodes: level.nodes.keys(), frames: level.frames.keys() }, types);
    try {
      paste(document, level.id, copied, types, { withLinks: true });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }
  try {
    toPrompt(document, types, { random: () => 0, now: new Date(0) });
  } catch (error) {
    if (!(error instanceof ConvertError)) throw error;
    expect(error.hint).toMatch(/^[A-Z].*\.$/);
  }
}

function survive(result: FileResult, types: NodeTypes): void {
  if (result.ok) return handle(result.document, types);
  expect(result.error).toBeInstanceOf(FormatError);
  expect(result.error.hint).toMatch(/^[A-Z].*\.$/);
  expect(result.error.message).not.toBe("");
}

const HOSTILE: readonly Json[] = [
  null, true, false, 0, -1, 1.5, 1e300, -1e-300, 2 ** 53, 2n ** 64n, -(2n ** 70n), "", " ", "0", "-1", "x", "__proto__", "constructor",
  "\u0000file", "\ud800", "<img src=x onerror=alert(1)>", "9".repeat(30), "é".repeat(300), [], [[]], [null], [1, 2, 3, 4, 5, 6], {},
  { id: 1 }, { "0": "a", "1": "b" }, { length: 3 }, { widget: { name: "x" } }, { nodes: [] },
];

/** All of it takes minutes; without `EASEL_LONG=1` a sample is tried, another value in every field. */
const LONG = process.env["EASEL_LONG"] === "1";

type Place = readonly (string | number)[];

function* places(data: Json, place: Place = []): Generator<Place> {
  yield place;
  if (Array.isArray(data)) for (const [key, item] of (data as readonly Json[]).entries()) yield* places(item, [...place, key]);
  else if (typeof data === "object" && data !== null) {
    for (const [key, item] of Object.entries(data as JsonObject)) yield* places(item, [...place, key]);
  }
}

function changed(data: Json, [key, ...rest]: Place, to: Json | undefined): Json {
  if (key === undefined) return to ?? null;
  if (Array.isArray(data)) {
    const items = data as readonly Json[];
    if (rest.length === 0 && to === undefined) return items.filter((_, place) => place !== key);
    return items.map((item, place) => (place === key ? changed(item, rest, to) : item));
  }
  const entries = Object.entries(data as JsonObject).flatMap(([name, item]): [string, Json][] => {
    if (name !== String(key)) return [[name, item]];
    return rest.length === 0 && to === undefined ? [] : [[name, changed(item, rest, to)]];
  });
  return Object.fromEntries(entries);
}

describe.each(FILES)("$name", ({ data, types }) => {
  const all = [...places(data)];
  const step = Math.max(1, Math.floor(all.length / (LONG ? 250 : 15)));
  test("survives every hostile value in every field", () => {
    let turn = all.length;
    for (const [number, place] of all.entries()) {
      if (number % step !== 0) continue;
      for (let count = 0; count < 3; count++) {
        const value = HOSTILE[turn++ % HOSTILE.length] ?? null;
        survive(readText(writeJson(changed(data, place, value)), types), types);
      }
      survive(readText(writeJson(changed(data, place, undefined)), types), types);
    }
  }, 60_000);
});

const small = FILES.find(({ name }) => name === "subgraph_nested.json")?.data ?? null;

test("every field of a nested workflow survives every hostile value", () => {
  const values = [...HOSTILE.entries()];
  let turn = 0;
  for (const place of places(small)) for (const [number, value] of values) {
    if (LONG || (turn++ * 7 + number) % 97 === 0) survive(readText(writeJson(changed(small, place, value)), CORPUS_TYPES), CORPUS_TYPES);
  }
}, 240_000);

const refused = (result: FileResult): FormatError => {
  expect(result.ok).toBe(false);
  if (result.ok) throw new Error("it was opened");
  return result.error;
};

describe("what is no workflow is refused with a reason", () => {
  test.each([
    ["an empty file", "", "empty"],
    ["blank lines", " \n ", "no-workflow"],
    ["a sentence", "Hello, this is no workflow.", "no-workflow"],
    ["a web page", "<!doctype html><html></html>", "no-workflow"],
    ["half a workflow", '{"nodes": [{"id": 1, "type": "A"', "not-json"],
    ["other JSON", '{"a": {"b": 1}}', "not-a-workflow"],
    ["a list", "[1, 2]", "not-a-workflow"],
    ["nodes that are none", '{"nodes": [1, 2]}', "bad-shape"],
    ["two subgraphs of one id", '{"nodes": [], "definitions": {"subgraphs": [{"id": "a"}, {"id": "a"}]}}', "bad-shape"],
    ["100,000 brackets", "[".repeat(100_000), "not-json"],
    ["100,000 nested objects", '{"a":'.repeat(100_000), "not-json"],
    ["100,000 brackets in a field", `{"nodes":[],"extra":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, "not-json"],
    ["a number of a million digits", `{"nodes":[],"seed":${"9".repeat(1_000_000)}}`, "not-json"],
    ["a million escaped quotes", `{"a": "${'\\"'.repeat(1_000_000)}`, "not-json"],
    ["a million backslashes", `{"a": "${"\\".repeat(1_000_000)}`, "not-json"],
  ])("%s", (_, text, code) => {
    const started = performance.now();
    const error = refused(readFile(bytes(text), "file.json", TYPES));
    expect(error.code).toBe(code);
    expect(error.hint).toMatch(/^[A-Z].*\.$/);
    expect(performance.now() - started).toBeLessThan(1000);
  });
  test("100 MB of JSON, without being read", async () => {
    let read = 0;
    const file = { size: 100 * 2 ** 20, name: "huge.json", read: (start: number, end: number) => Promise.resolve(new Uint8Array(end - start).fill(123, 0, (read += end - start) && 1)) };
    await expect(excerpt(file)).rejects.toMatchObject({ code: "too-large" });
    expect(read).toBeLessThan(1000);
  });
  test("a text of 40 MB, at once", () => {
    const started = performance.now();
    expect(refused(readText(`{"nodes":[],"a":"${"x".repeat(40 * 2 ** 20)}"}`, TYPES)).code).toBe("too-large");
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

test("a text of 30 MB in a workflow is kept", () => {
  const text = `{"nodes":[],"extra":{"picture":"${"x".repeat(30 * 2 ** 20)}"}}`;
  const result = readText(text, TYPES);
  expect(result.ok && writeWorkflow(result.document, TYPES) === text).toBe(true);
});

const opened = (data: Json): { document: Document; notices: readonly string[] } => {
  const result = readText(writeJson(data), TYPES);
  if (!result.ok) throw result.error;
  return { document: result.document, notices: result.notices.map((notice) => notice.code) };
};
const node = (id: Json, type: string, more: JsonObject = {}): JsonObject => ({ id, type, ...more });

describe("what can be mended is mended, and said", () => {
  test("duplicate ids", () => {
    const { document, notices } = opened({ nodes: [node(1, "A"), node(1, "B"), node("1", "C"), node(2, "D")] });
    expect(notices).toEqual(["duplicate-node-id", "duplicate-node-id"]);
    expect([...levelOf(document, ROOT).nodes.values()].map(({ id, type }) => [id, type])).toEqual([["1", "A"], ["3", "B"], ["4", "C"], ["2", "D"]]);
  });
  test("a link whose source is gone", () => {
    const { notices, document } = opened({ nodes: [node(1, "A", { inputs: [{ name: "x", type: "*", link: 5 }] })], links: [[5, 9, 0, 1, 0, "*"]] });
    expect(notices).toEqual(["dangling-link"]);
    handle(document, TYPES);
  });
  test("links in a circle", () => {
    const slots = (link: number): JsonObject => ({ inputs: [{ name: "x", type: "*", link }], outputs: [{ name: "y", type: "*", links: [3 - link] }] });
    const { document } = opened({ nodes: [node(1, "Reroute", slots(1)), node(2, "Reroute", slots(2))], links: [[1, 2, 0, 1, 0, "*"], [2, 1, 0, 2, 0, "*"]] });
    handle(document, TYPES);
  });
  const inside = (...types: string[]): Json => types.map((type, place) => node(place + 1, type));
  test("a subgraph that contains itself, by another one", () => {
    const subgraphs = [{ id: "a", name: "A", nodes: inside("b") }, { id: "b", name: "B", nodes: inside("a") }, { id: "c", name: "C", nodes: inside("a") }];
    const { document, notices } = opened({ nodes: inside("a", "c"), definitions: { subgraphs } });
    expect(notices).toEqual(["subgraph-in-itself", "subgraph-in-itself"]);
    expect(() => toPrompt(document, TYPES)).toThrow(ConvertError);
    handle(document, TYPES);
  });
  test("half a subgraph, and an instance of none", () => {
    const { document } = opened({ nodes: inside("a", "gone"), definitions: { subgraphs: [{ id: "a" }] } });
    expect(document.levels.size).toBe(2);
    handle(document, TYPES);
  });
  test("a chain of 5,000 subgraphs, each in the next, is opened at once and not sent", () => {
    const subgraphs = Array.from({ length: 5000 }, (_, number) => ({ id: `s${number}`, nodes: inside(`s${number + 1}`) }));
    const started = performance.now();
    const { document } = opened({ nodes: inside("s0"), definitions: { subgraphs } });
    expect(() => toPrompt(document, TYPES)).toThrow(/nest deeper/);
    expect(performance.now() - started).toBeLessThan(3000);
  });
  test("a billion laughs of subgraphs are counted, not opened", () => {
    const subgraphs = Array.from({ length: 40 }, (_, number) => ({ id: `s${number}`, nodes: inside(...Array.from({ length: 10 }, () => `s${number + 1}`)) }));
    const { document } = opened({ nodes: inside("s0"), definitions: { subgraphs } });
    expect(() => toPrompt(document, TYPES)).toThrow(/more than 100000 nodes/);
  });
});

test("whole numbers above 2^53 are kept to the last digit, wherever they stand", () => {
  const big = [9007199254740993n, 18446744073709551615n, -9007199254740993n, 10n ** 40n];
  for (const value of big) {
    const data = { nodes: [node(1, "KSampler", { widgets_values: [value, "fixed"], properties: { p: value }, own: value })], links: [], extra: { e: value } };
    const { document } = opened(data);
    const [first] = levelOf(document, ROOT).nodes.values();
    expect(first?.values["seed"]).toBe(value);
    const moved: Document = { ...document };
    expect(writeJson(workflowJson(moved, TYPES)).split(String(value))).toHaveLength(5);
    expect(writeJson(toPrompt(document, TYPES).prompt)).toContain(`"seed":${value}`);
  }
});

test("the names of built-in members are names like any other", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype", "valueOf"]) {
    const slot = { name, type: "*", link: null, [name]: 1 };
    const text = writeJson({
      id: "w", nodes: [
        { id: name, type: name, inputs: [slot], outputs: [{ ...slot, link: 0, links: [] }], properties: Object.fromEntries([[name, { [name]: 5 }]]), widgets_values: Object.fromEntries([[name, { polluted: true }]]), ...Object.fromEntries([[name, 6]]) },
      ],
      links: [], extra: Object.fromEntries([[name, { polluted: true }]]), ...Object.fromEntries([[name, [1]]]),
      definitions: { subgraphs: [{ id: `${name}!`, name, nodes: [], inputs: [{ id: name, name, type: name }], ...Object.fromEntries([[name, 7]]) }] },
    });
    const result = readText(text, TYPES);
    if (!result.ok) throw result.error;
    expect(levelOf(result.document, ROOT).nodes.get(nodeId(name))?.type).toBe(name);
    const written = writeJson(workflowJson(result.document, TYPES));
    expect(written.split(name).length).toBeGreaterThanOrEqual(text.split(name).length);
    handle(result.document, TYPES);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  }
});
