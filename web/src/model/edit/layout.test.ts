import { expect, test } from "vitest";
import { arranged, layoutTask } from "./layout";
import { layOut } from "./layout.worker";
import { executionOrder } from "./graph";
import { boxOf } from "./size";
import { root, run, textToImage, TYPES } from "./testing";

test("a layout has every node behind what feeds it, and none over another", () => {
  const { document } = textToImage();
  const level = root(document);
  const places = layOut(layoutTask(document, level, level.nodes.keys(), TYPES));
  const after = run(document, arranged(document, level, places, TYPES));
  const boxes = new Map([...root(after).nodes.values()].map((node) => [node.id, boxOf(after, node, TYPES)]));
  for (const link of root(after).links.values()) {
    const [from, to] = [boxes.get(link.from.node), boxes.get(link.to.node)];
    expect((from?.x ?? 0) + (from?.width ?? 0)).toBeLessThan(to?.x ?? 0);
  }
});

test("nodes run after what feeds them", () => {
  const { document, ids } = textToImage();
  expect(executionOrder(root(document))).toEqual(ids);
});
