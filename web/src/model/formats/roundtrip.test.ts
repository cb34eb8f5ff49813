// What the editor does not know survives it, at every place of a file; what was not touched keeps its bytes.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { apply, type Change } from "../changes";
import { levelOf, type Document, type Level, type Node } from "../document";
import { ROOT } from "../ids";
import { isArray, isObject, parseJson, writeJson, type Json, type JsonObject } from "../json";
import { readNodeTypes, type NodeTypes } from "../types";
import { readText, workflowJson, writeWorkflow } from "./index";

const TYPES = readNodeTypes(parseJson(readFileSync("src/model/convert/golden/object_info.json", "utf8")));
const CORPUS_TYPES = readNodeTypes(parseJson(readFileSync("src/model/convert/golden/corpus_object_info.json", "utf8")));
const FOLDERS: readonly (readonly [string, NodeTypes])[] = [["../workflows", TYPES], ["../tests/data/workflows", CORPUS_TYPES]];
const FILES = FOLDERS.flatMap(([folder, types]) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".json") && !name.endsWith(".prompt.json"))
    .map((name) => ({ name, types, text: readFileSync(`${folder}/${name}`, "utf8") })),
);

function opened(text: string, types: NodeTypes): Document {
  const result = readText(text, types);
  if (!result.ok) throw result.error;
  return result.document;
}

const UNKNOWN: JsonObject = { "x-pack": { deep: [1, { a: null }], seed: 18446744073709551615n, text: "é\n\u2028" }, "x:y": [], zz: false };

/** `data` with keys that nobody knows in every object that is part of the format. */
function withUnknown(data: Json, path: readonly string[] = []): Json {
  if (isArray(data)) return data.map((item) => withUnknown(item, path));
  if (!isObject(data)) return data;
  const opaque = path.at(-1) === "widgets_values" || path.at(-1) === "widgets_values_named";
  const entries = Object.entries(data).map(([key, item]): [string, Json] => [key, opaque ? item : withUnknown(item, [...path, key])]);
  return opaque ? data : { ...Object.fromEntries(entries), ...UNKNOWN };
}

/** The unknown keys by the place they stand at, the place written with ids where there are any. */
function unknownPlaces(data: Json, path = "$"): string[] {
  if (isArray(data)) return data.flatMap((item, number) => unknownPlaces(item, `${path}[${number}]`));
  if (!isObject(data)) return [];
  const own = Object.hasOwn(data, "x-pack") ? [`${path} ${writeJson(data["x-pack"] ?? null)} ${writeJson(data["x:y"] ?? null)} ${writeJson(data["zz"] ?? null)}`] : [];
  return [...own, ...Object.entries(data).flatMap(([key, item]) => (key === "x-pack" ? [] : unknownPlaces(item, `${path}.${key}`)))];
}

/** Where the places of a root of version 1 are once it is written as 0.4, whose links are lists and take no keys. */
const placesIn04 = (places: readonly string[]): string[] =>
  places.filter((place) => !place.startsWith("$.links[")).map((place) => place.replace(/^\$\.reroutes\[/, "$.extra.reroutes["));

const changeEverything = (document: Document): Document => {
  const moves = [...document.levels.values()].flatMap((level: Level): Change[] => [
    ...[...level.nodes.values()].map((node: Node): Change => {
      return { kind: "patch-node", level: level.id, id: node.id, patch: { position: { x: node.position.x + 1, y: node.position.y }, collapsed: !node.collapsed, title: "new" } };
    }),
    ...[...level.frames.keys()].map((id): Change => ({ kind: "patch-frame", level: level.id, id, patch: { title: "new" } })),
    ...[...level.reroutes.keys()].map((id): Change => ({ kind: "move-reroute", level: level.id, id, to: { x: 5, y: 5 } })),
  ]);
  return apply(document, { kind: "all", changes: moves }).document;
};

describe.each(FILES)("$name", ({ name, text, types }) => {
  const unknown = withUnknown(parseJson(text));

  test("is saved byte for byte while nothing is changed, whatever its lines and numbers look like", () => {
    const spellings = [text, `\ufeff${text}`, `${text}\n\n`, text.replaceAll("\n", "\r\n"), text.replace(/^\{/, '{ "odd" : [1.0,1e2, -0.0,"\\u00e9\\/"],')];
    for (const spelled of spellings) expect(writeWorkflow(opened(spelled, types), types)).toBe(spelled);
  });

  test("keeps unknown keys at every place, unchanged and changed, with its node types and without", () => {
    const places = name === "schema_1.json" ? placesIn04(unknownPlaces(unknown)) : unknownPlaces(unknown);
    expect(places.length).toBeGreaterThan(10);
    for (const known of [types, new Map()] as const) {
      const document = opened(writeJson(unknown), known);
      // A link that two inputs share becomes two, so there can be more.
      expect(unknownPlaces(workflowJson(document, known))).toEqual(expect.arrayContaining(places));
      expect(unknownPlaces(workflowJson(changeEverything(document), known))).toEqual(expect.arrayContaining(places));
    }
  });

  test("changes the lines of one node only when one node is changed", () => {
    const document = opened(text, types);
    const [node] = [...levelOf(document, ROOT).nodes.values()];
    if (node === undefined) throw new Error("there are nodes");
    const before = writeJson(workflowJson(document, types));
    const { document: after } = apply(document, { kind: "patch-node", level: ROOT, id: node.id, patch: { position: { x: 12345, y: 54321 } } });
    const written = workflowJson(after, types);
    const old = parseJson(before) as JsonObject;
    expect(Object.keys(written)).toEqual(Object.keys(old));
    for (const [key, value] of Object.entries(written)) if (key !== "nodes") expect(writeJson(value)).toBe(writeJson(old[key] ?? null));
    const [first, ...others] = written["nodes"] as readonly JsonObject[];
    const [oldFirst, ...oldOthers] = old["nodes"] as readonly JsonObject[];
    expect(writeJson(others)).toBe(writeJson(oldOthers));
    expect(writeJson({ ...first, pos: oldFirst?.["pos"] ?? null })).toBe(writeJson(oldFirst ?? null));
  });

  test("keeps its indentation when it is changed", () => {
    for (const indent of [0, 1, 2, 4]) {
      const document = opened(writeJson(parseJson(text), indent), types);
      const changed = changeEverything(document);
      expect(writeWorkflow(changed, types)).toBe(writeJson(workflowJson(changed, types), indent));
    }
  });
});

test("a node of an unknown type is saved byte for byte, whatever it holds", () => {
  const odd = '{"id":"a-1","type":"Pack.Unknown|node","pos":{"0":1,"1":2},"size":[1,2,3],"mode":7,"flags":{"ghost":1},"order":null,"inputs":[{"name":"","type":-1,"link":null,"slot":5},{"name":"","type":["a","b"],"link":99}],"outputs":[{"name":"o","type":"*","links":null},{"name":"o","type":"*","links":[]}],"widgets_values":{"b":1,"a":[{}]},"properties":[],"color":"","title":"","own":18446744073709551615}';
  const text = `{"nodes":[${odd}],"links":[],"last":1}`;
  for (const types of [TYPES, new Map()] as const) {
    const written = workflowJson(opened(text, types), types);
    expect(writeJson((written["nodes"] as readonly Json[])[0] ?? null)).toBe(odd);
  }
});

test("numbers that nobody touched are saved as they were spelled, also beside one that was changed", () => {
  const text = readFileSync("../workflows/text_to_image.json", "utf8");
  const document = opened(text, TYPES);
  const sampler = [...levelOf(document, ROOT).nodes.values()].find(({ type }) => type === "KSampler") as Node;
  const patch = { values: { ...sampler.values, steps: 7 } };
  const changed = apply(changeEverything(document), { kind: "patch-node", level: ROOT, id: sampler.id, patch }).document;
  expect(writeWorkflow(changed, TYPES).replaceAll(/\s/g, "")).toContain('[1,"fixed",7,4.0,"dpmpp_2m","karras",1.0]');
});
