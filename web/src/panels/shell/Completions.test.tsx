import { expect, test } from "vitest";
import { loraName } from "./Completions";

test("a LoRA is named without the suffix of its file, with its folders and dots", () => {
  expect(["style/ink v1.2.safetensors", "old.pt", "plain"].map(loraName)).toEqual(["style/ink v1.2", "old", "plain"]);
});
