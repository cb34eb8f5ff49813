import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { toPrompt } from "./convert";
import { connect } from "./edit/links";
import { addNode, setValue } from "./edit/nodes";
import { slotsOf } from "./edit/slots";
import { build, root, run, TYPES } from "./edit/testing";
import { readWorkflow, workflowJson } from "./formats/workflow";
import { parseJson, type JsonObject } from "./json";
import { withOwnTypes } from "./own-types";
import type { NodeType } from "./types";

const ALL = withOwnTypes(TYPES);
const typeOf = (name: string): NodeType => {
  const type = ALL.get(name);
  if (type === undefined) throw new Error(`there is no ${name}`);
  return type;
};

test("a new Set node gives its value to a Get node of its name, also after saving and opening", () => {
  const graph = build(["Load", "Decode"]);
  const [load, decode] = graph.ids as [never, never];
  const set = addNode(graph.document, root(graph.document), typeOf("SetNode"), { x: 0, y: 300 });
  let document = run(graph.document, set.change);
  const get = addNode(document, root(document), typeOf("GetNode"), { x: 300, y: 300 });
  document = run(document, get.change);
  for (const { id } of [set.node, get.node]) document = run(document, setValue(root(document), id, "name", "my vae"));
  document = run(document, connect(document, root(document), { node: load, slot: "VAE" }, { node: set.node.id, slot: "value" }, "VAE"));
  document = run(document, connect(document, root(document), { node: get.node.id, slot: "value" }, { node: decode, slot: "vae" }, "*"));
  const vae = (of: typeof document): unknown => (toPrompt(of, ALL).prompt[decode] as { inputs: JsonObject }).inputs["vae"];
  expect(vae(document)).toEqual([load, 2]);
  expect(Object.keys(toPrompt(document, ALL).prompt)).toEqual([load, decode]);
  expect(vae(readWorkflow(parseJson(JSON.stringify(workflowJson(document, ALL))), ALL).document)).toEqual([load, 2]);
});

test("Set and Get nodes of files keep the slots that they came with, and show their name", () => {
  const file = readFileSync(new URL("../../../tests/data/workflows/set_get.json", import.meta.url), "utf-8");
  const { document } = readWorkflow(parseJson(file), ALL);
  const slots = ["2", "5"].map((id) => slotsOf(document, [...root(document).nodes.values()].find((node) => node.id === id) as never, ALL));
  expect(slots.map(({ inputs, outputs }) => [inputs.map(({ name }) => name), outputs.map(({ name }) => name)])).toEqual([[["MODEL"], ["value"]], [[], ["value"]]]);
  expect(slots.map(({ widgets }) => widgets.map(({ name }) => name))).toEqual([["name"], ["name"]]);
  expect(root(document).nodes.get("2" as never)?.values).toEqual({ name: "model" });
  const [before, after] = [TYPES, ALL].map((types) => toPrompt(readWorkflow(parseJson(file), types).document, types).prompt);
  expect(after).toEqual(before);
});
