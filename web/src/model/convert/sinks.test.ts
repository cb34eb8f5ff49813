import { expect, test } from "vitest";
import type { JsonObject } from "../json";
import type { NodeType, NodeTypes } from "../types";
import { shownOn, withSinks } from "./sinks";

const type = (name: string, outputs: readonly string[], isOutput = false): [string, NodeType] =>
  [name, { name, outputs: outputs.map((each) => ({ name: each, type: each, list: false })), isOutput } as unknown as NodeType];
const TYPES: NodeTypes = new Map([type("Decode", ["MASK", "IMAGE"]), type("Sample", ["LATENT"]), type("Save", [], true), type("PreviewImage", [], true), type("PreviewAny", [], true)]);
const PROMPT: JsonObject = {
  "1": { class_type: "Sample", inputs: {} },
  "2:5": { class_type: "Decode", inputs: { samples: ["1", 0] } },
  "2:6": { class_type: "Save", inputs: { images: ["2:5", 1] } },
};

test("outputs are run as they are, those inside of an instance too", () => {
  expect(withSinks(PROMPT, ["2:6"], TYPES)).toEqual({ prompt: PROMPT, targets: ["2:6"] });
  expect(withSinks(PROMPT, ["2"], TYPES).targets).toEqual(["2:6"]);
});

test("what is no output is shown by a node that is added for the run: pictures as pictures, else text", () => {
  const { prompt, targets } = withSinks(PROMPT, ["2:5", "1"], TYPES);
  expect(targets.map((id) => prompt[id])).toEqual([
    { class_type: "PreviewImage", inputs: { images: ["2:5", 1] } },
    { class_type: "PreviewAny", inputs: { source: ["1", 0] } },
  ]);
  expect(targets.map(shownOn)).toEqual(["2:5", "1"]);
});

test("without a node that could show it the server is asked all the same, and what is not there is left out", () => {
  const few: NodeTypes = new Map([...TYPES].filter(([name]) => !name.startsWith("Preview")));
  expect(withSinks(PROMPT, ["1", "9"], few)).toEqual({ prompt: PROMPT, targets: ["1"] });
});
