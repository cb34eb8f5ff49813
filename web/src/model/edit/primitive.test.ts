import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { levelOf, type Node } from "../document";
import { readText, writeWorkflow } from "../formats";
import { ROOT } from "../ids";
import { parseJson } from "../json";
import { readNodeTypes } from "../types";
import { disconnect } from "./links";
import { linksAround } from "./graph";
import { shownType } from "./shown-type";
import { slotsOf } from "./slots";
import { run } from "./testing";

const TYPES = readNodeTypes(parseJson(readFileSync("src/model/convert/golden/object_info.json", "utf8")));

/** The example in which a number is held for the width and the height of a picture. */
function held() {
  const opened = readText(readFileSync("../workflows/named_links.json", "utf8"), TYPES);
  if (!opened.ok) throw opened.error;
  const { document } = opened;
  const level = levelOf(document, ROOT);
  const node = [...level.nodes.values()].find(({ type }) => type === "PrimitiveNode") as Node;
  return { document, level, node };
}

test("a primitive has one field, that of the first input that it feeds", () => {
  const { document, node } = held();
  const { widgets, inputs } = slotsOf(document, node, TYPES);
  expect(inputs).toEqual([]);
  expect(widgets).toMatchObject([{ name: "value", unlinkable: true, widget: TYPES.get("EmptyLatentImage")?.inputs[0]?.widget }]);
  expect(slotsOf(document, node, TYPES).widgets).toBe(widgets);
  expect(shownType(node, slotsOf(document, node, TYPES), TYPES).inputs.map(({ name }) => name)).toEqual(["value"]);
});

test("a primitive that feeds nothing has a field of the type of its output", () => {
  const { document, level, node } = held();
  const links = linksAround(level, node.id).outOf.map(({ id }) => id);
  const alone = run(document, { kind: "all", changes: disconnect(level, links) });
  const left = levelOf(alone, ROOT).nodes.get(node.id) as Node;
  expect(slotsOf(alone, left, TYPES).widgets).toMatchObject([{ name: "value", widget: { kind: "int", controlled: true } }]);
});

test("a value that is set on a primitive is saved as files have it", () => {
  const { document, node } = held();
  const changed = run(document, { kind: "patch-node", level: ROOT, id: node.id, patch: { values: { ...node.values, value: 96 } } });
  expect(writeWorkflow(changed, TYPES).replaceAll(/\s/g, "")).toContain('"widgets_values":[96,"fixed"]');
});
