import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../model/json";
import { diffPrompts } from "./diff";

const sampler = (inputs: JsonObject): JsonObject => ({ "3": { class_type: "KSampler", inputs } });

describe("what changed between two prompts", () => {
  it("is nothing for the same prompt", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.oneof(fc.integer(), fc.string(), fc.boolean())), (inputs) => {
        expect(diffPrompts(sampler(inputs), sampler({ ...inputs }))).toEqual([]);
      }),
    );
  });

  it("names node, input, and the values before and after", () => {
    const [change] = diffPrompts(sampler({ seed: 1, steps: 20 }), sampler({ seed: 2, steps: 20 }));
    expect(change).toEqual({
      node: "3",
      title: "KSampler",
      kind: "changed",
      inputs: [{ input: "seed", before: "1", after: "2", kind: "value" }],
    });
  });

  it("tells seeds apart that a double cannot", () => {
    const changes = diffPrompts(sampler({ seed: 18446744073709551615n }), sampler({ seed: 18446744073709551614n }));
    expect(changes[0]?.inputs[0]).toMatchObject({ before: "18446744073709551615", after: "18446744073709551614" });
  });

  it("tells a link that leads elsewhere from a value", () => {
    const [change] = diffPrompts(sampler({ positive: ["6", 0] }), sampler({ positive: ["7", 0] }));
    expect(change?.inputs).toEqual([{ input: "positive", before: "6 → 0", after: "7 → 0", kind: "link" }]);
  });

  it("tells nodes that came and went, and one that became another type", () => {
    const node = (type: string): JsonObject => ({ class_type: type, inputs: {} });
    const changes = diffPrompts({ "1": node("A"), "2": node("B") }, { "2": node("C"), "4": node("D") });
    expect(changes.map(({ node: id, kind }) => `${id} ${kind}`)).toEqual(["1 removed", "2 changed", "4 added"]);
    expect(changes[1]?.inputs).toEqual([{ input: "", before: "B", after: "C", kind: "value" }]);
  });

  it("calls a node as people called it", () => {
    const titled = (seed: number): JsonObject => ({ "3": { class_type: "KSampler", inputs: { seed }, _meta: { title: "Second pass" } } });
    expect(diffPrompts(titled(1), titled(2))[0]?.title).toBe("Second pass");
  });
});
