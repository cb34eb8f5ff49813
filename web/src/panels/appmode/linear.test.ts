import { expect, test } from "vitest";
import { apply } from "../../model/changes";
import { emptyLevel, type Document } from "../../model/document";
import { nodeId, ROOT } from "../../model/ids";
import { formChange, readForm, toggleField, toggleOutput } from "./linear";

const document: Document = {
  id: "d",
  levels: new Map([[ROOT, emptyLevel(ROOT)]]),
  rest: { version: 0.4, extra: { ds: { scale: 1 }, linearData: { inputs: [[3, "seed", { height: 10 }], ["6:2", "text"], "bad"], outputs: [9], other: 1 } } },
};

test("the community's form is read, nonsense in it is left out", () => {
  expect(readForm(document)).toEqual({
    inputs: [
      { node: "3", input: "seed" },
      { node: "6:2", input: "text" },
    ],
    outputs: ["9"],
  });
  expect(readForm({ ...document, rest: {} })).toBeUndefined();
});

test("a form that was chosen is written beside what else stands there, and undone", () => {
  const form = toggleOutput(toggleField({ inputs: [], outputs: [] }, { node: nodeId(3), input: "seed" }), nodeId(9));
  const { document: after, inverse } = apply(document, formChange(document, form));
  expect(after.rest["extra"]).toEqual({ ds: { scale: 1 }, linearData: { inputs: [[3, "seed"]], outputs: [9], other: 1 } });
  expect(readForm(after)).toEqual(form);
  expect(apply(after, inverse).document).toEqual(document);
});

test("choosing twice takes back", () => {
  const field = { node: nodeId(1), input: "a" };
  const none = { inputs: [], outputs: [] };
  expect(toggleField(toggleField(none, field), field)).toEqual(none);
  expect(toggleOutput(toggleOutput(none, nodeId(1)), nodeId(1))).toEqual(none);
});
