import { expect, test } from "vitest";
import { levelOf } from "../model/document";
import { textToImage, TYPES } from "../model/edit/testing";
import { ROOT } from "../model/ids";
import { NOTHING_SELECTED } from "../state/documents";
import { createFlowNodes, regionOf, sameBox, type Stage } from "./flow-nodes";

const { document, ids } = textToImage(); // five nodes in a row, 300 apart
const stage: Stage = { document, level: levelOf(document, ROOT), types: TYPES, selection: NOTHING_SELECTED, dragged: new Map(), resized: new Map(), row: 24 };
const all = { x: -1000, y: -1000, width: 5000, height: 5000 };
const none = new Set<string>();
const noLabel = (): undefined => undefined;

test("only what is in the region is given to React Flow, and what is held wherever it is", () => {
  const make = createFlowNodes();
  const left = { x: -10, y: -10, width: 20, height: 20 };
  expect(make(stage, left, none, noLabel).map((node) => node.id)).toEqual([`n:${ids[0]}`]);
  expect(make(stage, left, new Set([`n:${ids[4]}`]), noLabel)).toHaveLength(2);
});

test("a node that grew beyond its size stays as long as any of it is in view", () => {
  const below = { x: 0, y: 900, width: 50, height: 50 };
  expect(createFlowNodes()(stage, below, none, noLabel)).toHaveLength(0);
  expect(createFlowNodes()({ ...stage, heights: new Map([[`n:${ids[0]}`, 1000]]) }, below, none, noLabel)).toHaveLength(1);
});

test("nodes that did not change stay the same objects, so that React Flow skips them", () => {
  const make = createFlowNodes();
  const before = make(stage, all, none, noLabel);
  expect(make(stage, { ...all, x: -2000 }, none, noLabel)).toBe(before);
  const after = make({ ...stage, dragged: new Map([[`n:${ids[0]}`, { x: 7, y: 7 }]]) }, all, none, noLabel);
  expect(after[0]?.position).toEqual({ x: 7, y: 7 });
  expect(after.slice(1).every((node, place) => node === before[place + 1])).toBe(true);
});

test("a node that is renamed is called by its new name", () => {
  const make = createFlowNodes();
  make(stage, all, none, () => "Old");
  expect(make(stage, all, none, (id) => (id === `n:${ids[0]}` ? "New" : "Old")).map((node) => node.ariaLabel)).toEqual(["New", "Old", "Old", "Old", "Old"]);
});

test("no handles and no values are handed over, and every node has a size", () => {
  for (const node of createFlowNodes()(stage, all, none, noLabel)) {
    expect(node).not.toHaveProperty("handles");
    expect(node.data).toEqual({});
    expect(node.measured).toEqual({ width: node.width, height: node.height });
    expect(node.width).toBeGreaterThan(0);
  }
});

test("the region holds the view at every zoom and stays the same for small moves", () => {
  for (const zoom of [0.05, 0.2, 0.35, 0.5, 1, 2.5]) {
    const [x, y, width, height] = [-137, 61, 1600, 1000];
    const region = regionOf([x, y, zoom], width, height);
    expect(region.x).toBeLessThanOrEqual(-x / zoom);
    expect(region.y).toBeLessThanOrEqual(-y / zoom);
    expect(region.x + region.width).toBeGreaterThanOrEqual((width - x) / zoom);
    expect(region.y + region.height).toBeGreaterThanOrEqual((height - y) / zoom);
  }
  const changes = Array.from({ length: 200 }, (_, step) => regionOf([-step, 0, 1], 1600, 1000)).filter((box, place, boxes) => place > 0 && !sameBox(box, boxes[place - 1] ?? box));
  expect(changes.length).toBeLessThan(4);
});
