import { expect, test } from "vitest";
import { endKey } from "../model/edit/links";
import { linkTo } from "../model/edit/graph";
import { build, textToImage, TYPES } from "../model/edit/testing";
import type { NodeId } from "../model/ids";
import { controllerOf } from "./testing";

const nth = (ids: readonly NodeId[], place: number): NodeId => ids[place] ?? ("" as NodeId);

test("a link lights only ends that fit and close no circle", () => {
  const { document, ids } = textToImage();
  const { controller } = controllerOf(document);
  const connecting = controller.begin({ node: nth(ids, 2), slot: "LATENT" }, "output", false, true);
  expect(connecting?.targets).toEqual(new Set([endKey("input", nth(ids, 3), "samples")]));
  expect(connecting?.nodes).toEqual(new Set([nth(ids, 3)]));
});

test("dragging from a linked input takes its link up; on empty ground it is cut", () => {
  const { document, ids } = textToImage();
  const { controller } = controllerOf(document);
  const connecting = controller.begin({ node: nth(ids, 3), slot: "samples" }, "input", false, true);
  expect(connecting?.end).toEqual({ node: nth(ids, 2), slot: "LATENT" });
  if (connecting !== undefined) controller.finishOnNothing(connecting, { x: 0, y: 0 });
  expect(linkTo(controller.shown().level, { node: nth(ids, 3), slot: "samples" })).toBeUndefined();
});

test("on empty ground a new link searches what fits, and what is chosen is linked in the same step", () => {
  const { document, ids } = build(["Decode"]);
  const { controller, documents } = controllerOf(document);
  const connecting = controller.begin({ node: nth(ids, 0), slot: "IMAGE" }, "output", false, true);
  if (connecting !== undefined) controller.finishOnNothing(connecting, { x: 400, y: 50 });
  expect(controller.view.getState().search?.filter.trim()).toBe("in:IMAGE");
  const type = TYPES.get("Save");
  if (type !== undefined) controller.addFound(type);
  const { level } = controller.shown();
  expect(level.nodes.size).toBe(2);
  expect([...level.links.values()].map((link) => link.to.slot)).toEqual(["images"]);
  documents.getState().undo();
  expect(controller.shown().level.nodes.size).toBe(1);
});

test("a link dropped on the body of a node takes its first free slot that fits", () => {
  const { document, ids } = build(["Load", "Decode"]);
  const { controller } = controllerOf(document);
  const connecting = controller.begin({ node: nth(ids, 0), slot: "VAE" }, "output", false, true);
  expect(connecting === undefined ? false : controller.finishOnNode(connecting, nth(ids, 1))).toBe(true);
  expect(linkTo(controller.shown().level, { node: nth(ids, 1), slot: "vae" })?.from.node).toBe(nth(ids, 0));
});

test("a hidden link is shown again without a trace of it", () => {
  const { document } = textToImage();
  const { controller } = controllerOf(document);
  const [link] = controller.shown().level.links.values();
  if (link === undefined) throw new Error("there is a link");
  controller.hideLink(link.id, true);
  expect(controller.shown().level.links.get(link.id)?.rest?.["hidden"]).toBe(true);
  controller.hideLink(link.id, false);
  expect(controller.shown().level.links.get(link.id)?.rest ?? {}).toEqual({});
});

test("a subgraph is made, entered, left and unpacked", () => {
  const { document, ids } = textToImage();
  const { controller, documents } = controllerOf(document);
  controller.makeSubgraph(new Set([nth(ids, 2), nth(ids, 3)]));
  const [instance] = controller.shown().selection.nodes;
  if (instance === undefined) throw new Error("the instance is selected");
  expect(controller.enter(instance)).toBe(true);
  expect(controller.shown().level.nodes.size).toBe(2);
  expect(controller.leave()).toBe(true);
  expect(controller.leave()).toBe(false);
  controller.unpack(instance);
  expect(controller.shown().level.nodes.size).toBe(5);
  expect(documents.getState().document.levels.size).toBe(1);
});
