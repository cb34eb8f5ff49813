import { expect, test } from "vitest";
import { emptyLevel, type Document, type Level, type Node } from "../../model/document";
import { levelId, nodeId, ROOT } from "../../model/ids";
import { findInDocument } from "./find";

const node = (id: number, type: string, more: Partial<Node> = {}): Node => ({
  id: nodeId(id),
  type,
  position: { x: 0, y: 0 },
  size: { width: 240, height: 80 },
  mode: "normal",
  collapsed: false,
  pinned: false,
  values: {},
  control: {},
  inputs: [],
  outputs: [],
  properties: {},
  rest: {},
  ...more,
});
const level = (id: string, ...nodes: Node[]): Level => ({
  ...emptyLevel(levelId(id)),
  nodes: new Map(nodes.map((each) => [each.id, each])),
});
const document: Document = {
  id: "d",
  rest: {},
  levels: new Map(
    [
      level(ROOT, node(1, "KSampler"), node(2, "CLIPTextEncode", { title: "Positive", values: { text: "a calm harbour at dawn" } }), node(3, "sub")),
      level("sub", node(7, "VAEDecode")),
    ].map((each) => [each.id, each]),
  ),
};

test("nodes are found by title, type, id and by what their fields hold", () => {
  const first = (query: string): string | undefined => findInDocument(document, new Map(), query)[0]?.node;
  expect(first("positive")).toBe("2");
  expect(first("ksam")).toBe("1");
  expect(first("#2")).toBe("2");
  expect(first("harbour")).toBe("2");
  expect(findInDocument(document, new Map(), "harbour")[0]?.field?.name).toBe("text");
  expect(first("zebra")).toBeUndefined();
});

test("what is inside a subgraph is found with the way to it", () => {
  expect(findInDocument(document, new Map(), "vae")[0]?.path).toEqual([ROOT, "sub"]);
});
