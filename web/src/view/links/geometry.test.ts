import { expect, test } from "vitest";
import { levelOf } from "../../model/document";
import { ROOT } from "../../model/ids";
import { textToImage, TYPES } from "../../model/edit/testing";
import { cross, endPoint, pathOf, pieces, pointsOf, type Scene } from "./geometry";

const { document, ids } = textToImage();
const scene: Scene = { document, level: levelOf(document, ROOT), types: TYPES, row: 24, dragged: new Map(), resized: new Map(), anchors: new Map() };
const first = ids[0];
if (first === undefined) throw new Error("a node is there");

test("slots sit on the borders of their node, one row below another", () => {
  const width = scene.level.nodes.get(first)?.size.width ?? 0;
  expect(endPoint(scene, { node: first, slot: "MODEL" }, "output")).toEqual({ x: width, y: 44 });
  expect(endPoint(scene, { node: first, slot: "CLIP" }, "output")).toEqual({ x: width, y: 68 });
});

test("what is dragged takes its links along, and a measured field is believed", () => {
  const moved = { ...scene, dragged: new Map([[`n:${first}`, { x: 1000, y: 500 }]]), anchors: new Map([[first, { name: 99 }]]) };
  expect(endPoint(moved, { node: first, slot: "name" }, "input")).toEqual({ x: 1000, y: 599 });
});

test("a path begins and ends at its slots in every style", () => {
  const [link] = scene.level.links.values();
  const points = link === undefined ? undefined : pointsOf(scene, link);
  if (points === undefined) throw new Error("the link has ends");
  for (const style of ["spline", "straight", "angled"] as const) expect(pathOf(points, style)).toMatch(new RegExp(`^M${points[0]?.x},${points[0]?.y}`));
});

test("a stroke over a link cuts it, one beside it does not", () => {
  const stroke = pieces([{ x: 0, y: 0 }, { x: 200, y: 0 }], "spline");
  expect(cross(stroke, [{ x: 100, y: -20 }, { x: 100, y: 20 }])).toBe(true);
  expect(cross(stroke, [{ x: 100, y: 10 }, { x: 100, y: 20 }])).toBe(false);
});
