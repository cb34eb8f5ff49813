import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readWorkflow } from "../formats/workflow";
import { isObject, parseJson, writeJson, type Json } from "../json";
import { readNodeTypes } from "../types";
import { toPrompt } from "./index";

const REPOSITORY = "../";
const GOLDEN = "src/model/convert/golden/";
const parsed = (path: string): Json => parseJson(readFileSync(path, "utf8"));
const TYPES = readNodeTypes(parsed(`${GOLDEN}object_info.json`));
const CORPUS = `${REPOSITORY}tests/data/workflows/`;
const CORPUS_TYPES = readNodeTypes(parsed(`${GOLDEN}corpus_object_info.json`));
const NOW = new Date(2026, 2, 4, 5, 6, 7);

const corpus = readdirSync(CORPUS).filter((name) => name.endsWith(".prompt.json")).map((name) => name.replace(".prompt.json", ""));

describe.each(corpus)("the corpus workflow %s", (name) => {
  const data = parsed(`${CORPUS}${name}.json`);
  const expected = parsed(`${CORPUS}${name}.prompt.json`);
  const options = { now: NOW, random: () => 0 };
  test("becomes the prompt that it stands for", () => {
    const { document } = readWorkflow(data, CORPUS_TYPES);
    expect(toPrompt(document, CORPUS_TYPES, options).prompt).toEqual(expected);
  });
  test("becomes the same prompt when its node types come later", () => {
    const { document } = readWorkflow(data, new Map());
    expect(toPrompt(document, CORPUS_TYPES, options).prompt).toEqual(expected);
  });
  test("is not changed by that", () => {
    const { document } = readWorkflow(data, CORPUS_TYPES);
    const before = structuredClone(document);
    toPrompt(document, CORPUS_TYPES, options);
    expect(document).toEqual(before);
  });
});

test("a node inside a subgraph is found again by the id that the server has for it", () => {
  const { document } = readWorkflow(parsed(`${CORPUS}subgraph_nested.json`), CORPUS_TYPES);
  const { prompt, origins } = toPrompt(document, CORPUS_TYPES);
  const origin = origins.get("12:7:1");
  expect(isObject(prompt["12:7:1"])).toBe(true);
  expect(origin?.node).toBe("1");
  expect(origin?.instances).toEqual(["12", "7"]);
  expect(origin?.path.map((id) => document.levels.get(id)?.definition?.name)).toEqual([undefined, "Outer", "Encode"]);
});

test("a partial run keeps what its outputs need and nothing else", () => {
  const { document } = readWorkflow(parsed(`${REPOSITORY}workflows/text_to_image.json`), TYPES);
  expect(toPrompt(document, TYPES, { targets: ["5"] }).order).toEqual(["5"]);
  expect(toPrompt(document, TYPES, { targets: ["8"] }).order).toEqual(["4", "5", "6", "7", "3", "8"]);
  expect(toPrompt(document, TYPES, { targets: ["none"] }).order).toEqual([]);
});

test("ten thousand reroutes are walked without running out of stack", () => {
  const length = 10_000;
  const slot = [{ name: "", type: "*" }];
  const nodes: Json[] = [{ id: 0, type: "EmptyLatentImage", outputs: slot }];
  const links: Json[] = [];
  for (let i = 1; i <= length; i++) {
    nodes.push({ id: i, type: "Reroute", inputs: [{ name: "", type: "*", link: i }], outputs: slot });
    links.push([i, i - 1, 0, i, 0, "*"]);
  }
  links.push([length + 1, length, 0, length + 1, 0, "LATENT"]);
  nodes.push({ id: length + 1, type: "SaveLatent", inputs: [{ name: "samples", type: "LATENT", link: length + 1 }] });
  const { document } = readWorkflow({ nodes: nodes.reverse(), links }, CORPUS_TYPES);
  const { prompt } = toPrompt(document, CORPUS_TYPES);
  expect(writeJson(prompt[String(length + 1)] ?? null)).toContain('"samples":["0",0]');
});
