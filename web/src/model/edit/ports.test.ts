import { expect, test } from "vitest";
import { levelOf } from "../document";
import { levelId, type NodeId } from "../ids";
import { setValue } from "./nodes";
import { addPort } from "./ports";
import { slotsOf } from "./slots";
import { makeSubgraph } from "./subgraph";
import { build, root, run, TYPES } from "./testing";

const INNER = levelId("inner");

function instanceWithNumber(): { document: ReturnType<typeof build>["document"]; instance: NodeId; number: NodeId } {
  const graph = build(["Number"]);
  const number = graph.ids[0] as NodeId;
  const valued = run(graph.document, setValue(root(graph.document), number, "value", 5));
  const made = makeSubgraph(valued, root(valued), [number], "S", INNER, TYPES);
  if (made === undefined) throw new Error("there is a subgraph");
  return { document: run(valued, made.change), instance: made.node, number };
}

test("a field that becomes one of the instance keeps the value that it had", () => {
  const { document, instance, number } = instanceWithNumber();
  const made = addPort(document, levelOf(document, INNER), { node: number, slot: "value" }, "input", "p", TYPES);
  const node = root(run(document, made?.change)).nodes.get(instance);
  expect(node?.values).toEqual({ value: 5 });
});

test("an instance that holds no value shows the inner one, with which it runs", () => {
  const { document, instance, number } = instanceWithNumber();
  const made = addPort(document, levelOf(document, INNER), { node: number, slot: "value" }, "input", "p", TYPES);
  const after = run(document, made?.change);
  const bare = run(after, { kind: "patch-node", level: root(after).id, id: instance, patch: { values: {} } });
  const node = root(bare).nodes.get(instance);
  expect(node === undefined ? undefined : slotsOf(bare, node, TYPES).widgets.map(({ widget }) => widget)).toMatchObject([{ kind: "int", default: 5 }]);
});
