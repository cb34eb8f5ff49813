import { expect, test } from "vitest";
import { TYPES } from "./edit/testing";
import { everyInput, inputNamed, inputsOf } from "./inputs";
import type { Json } from "./json";
import { readNodeTypes, type NodeType } from "./types";

const typed = (name: string): NodeType => {
  const type = TYPES.get(name);
  if (type === undefined) throw new Error(`no type ${name}`);
  return type;
};
const names = (type: string, values: Record<string, Json> = {}, linked: readonly string[] = []): string[] =>
  inputsOf(typed(type), values, new Set(linked.map((each) => `images.${each}`))).map((input) => input.name);

test("an input that grows shows one more than are linked, within its bounds", () => {
  expect(names("Batch")).toEqual(["images.image0", "images.image1"]);
  expect(names("Batch", {}, ["image0", "image1"])).toEqual(["images.image0", "images.image1", "images.image2"]);
  expect(names("Batch", {}, ["image0", "image2"])).toEqual(["images.image0", "images.image1", "images.image2"]);
  expect(names("Batch", {}, ["image0", "image1", "image2", "image3"])).toHaveLength(4);
  expect(inputsOf(typed("Batch"), {}).map(({ type, label, required }) => [type, label, required])).toEqual([
    ["IMAGE", "image0", true],
    ["IMAGE", "image1", true],
  ]);
});

test("the inputs of a choice stand right behind it", () => {
  expect(names("Resize")).toEqual(["input", "how", "how.factor", "method"]);
  expect(names("Resize", { how: "size" })).toEqual(["input", "how", "how.width", "how.height", "method"]);
  expect(names("Resize", { how: "like" })).toEqual(["input", "how", "how.like", "how.crop", "method"]);
  expect(names("Resize", { how: "from another version" })).toEqual(["input", "how", "method"]);
  expect(inputNamed(typed("Resize"), "how.width", { how: "size" })?.label).toBe("width");
  expect(inputNamed(typed("Resize"), "how.like")?.type).toBe("IMAGE,MASK");
  expect(inputNamed(typed("Resize"), "how.none")).toBeUndefined();
});

test("types that match are those that are allowed", () => {
  expect(typed("Resize").inputs[0]).toMatchObject({ type: "IMAGE,MASK", match: "T" });
  expect(typed("Resize").outputs[0]).toMatchObject({ name: "resized", type: "IMAGE,MASK", match: "T" });
  expect(typed("Switch").outputs[0]).toMatchObject({ type: "*", match: "S" });
});

test("every input that a type may have is known", () => {
  expect(everyInput(typed("Batch")).map(({ type }) => type)).toEqual(["IMAGE", "IMAGE", "IMAGE", "IMAGE"]);
  expect(everyInput(typed("Resize")).map(({ name }) => name)).toContain("how.crop");
});

test("choices may bring choices, and what makes no sense is left out", () => {
  const inner = ["COMFY_DYNAMICCOMBO_V3", { options: [{ key: "x", inputs: { required: { deep: ["INT", {}] } } }, 3, { key: "y" }] }];
  const types = readNodeTypes({
    N: {
      input: {
        required: {
          a: ["COMFY_DYNAMICCOMBO_V3", { options: [{ key: "k", inputs: { required: { b: inner } } }] }],
          g: ["COMFY_AUTOGROW_V3", { template: { min: 2, max: 1e12, prefix: "p", input: { required: { p: ["MASK"] } } } }],
          broken: ["COMFY_AUTOGROW_V3", {}],
          none: ["COMFY_DYNAMICCOMBO_V3", {}],
        },
      },
      output: [],
    },
  });
  const type = types.get("N");
  if (type === undefined) throw new Error("it is read");
  expect(inputsOf(type, {}).map(({ name }) => name)).toEqual(["a", "a.b", "a.b.deep", "g.p0", "g.p1", "none"]);
  expect(inputsOf(type, { "a.b": "y" }).map(({ name }) => name)).toEqual(["a", "a.b", "g.p0", "g.p1", "none"]);
  expect(inputNamed(type, "a.b.deep")?.type).toBe("INT");
});
