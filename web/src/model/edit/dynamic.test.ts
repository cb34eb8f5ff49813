// Nodes whose inputs depend on their values and links: what they show, what may be linked, and what a change brings along.

import { describe, expect, test } from "vitest";
import { apply, type Change } from "../changes";
import { toPrompt } from "../convert";
import type { Document, Level } from "../document";
import { readWorkflow, workflowJson } from "../formats/workflow";
import { ROOT, type NodeId } from "../ids";
import { chosenOf, inputsOf, ownerOf } from "../inputs";
import { isObject, type Json } from "../json";
import { linksAround, linkTo } from "./graph";
import { carried, connect, disconnect, fittingSlot, validTargets } from "./links";
import { fitNode, remove, setValue } from "./nodes";
import { search } from "./search";
import { settled } from "./settle";
import { boxOf } from "./size";
import { slotAt, slotsOf } from "./slots";
import { STEPS } from "./steps";
import { anyOf, build, dice, root, run, textToImage, TYPES } from "./testing";

function never(): never {
  throw new Error("there is one");
}

const done = (document: Document, change: Change | undefined): Document => run(document, settled(document, change ?? never(), TYPES));
const nodeOf = (document: Document, id: NodeId | undefined) => root(document).nodes.get(id ?? never()) ?? never();
const inputsAt = (document: Document, id: NodeId | undefined): string[] => slotsOf(document, nodeOf(document, id), TYPES).inputs.map(({ name }) => name);
const fieldsAt = (document: Document, id: NodeId | undefined): string[] => slotsOf(document, nodeOf(document, id), TYPES).widgets.map(({ label }) => label);
const sourcesOf = (document: Document, id: NodeId | undefined): (NodeId | undefined)[] =>
  inputsAt(document, id).map((slot) => linkTo(root(document), { node: id ?? never(), slot })?.from.node);

describe("an input that grows", () => {
  const batch = () =>
    build(
      ["Scale", "Scale", "Scale", "Batch"],
      [
        [0, "IMAGE", 3, "images.image0"],
        [1, "IMAGE", 3, "images.image1"],
        [2, "IMAGE", 3, "images.image2"],
      ],
    );

  test("has one free slot more than links, and the node room for it", () => {
    const empty = build(["Batch"]);
    expect(inputsAt(empty.document, empty.ids[0])).toEqual(["images.image0", "images.image1"]);
    const { document, ids } = batch();
    expect(inputsAt(document, ids[3])).toEqual(["images.image0", "images.image1", "images.image2", "images.image3"]);
    const heights = [empty.document, document].map((each) => boxOf(each, nodeOf(each, each === document ? ids[3] : empty.ids[0]), TYPES).height);
    expect(heights[1]).toBeGreaterThan(heights[0] ?? 0);
    const fitted = run(document, fitNode(document, root(document), ids[3] ?? never(), TYPES));
    expect(nodeOf(fitted, ids[3]).size.height).toBe(heights[1]);
  });

  test("closes up when a link in the middle goes, and undo brings all back", () => {
    const { document, ids } = batch();
    const link = linkTo(root(document), { node: ids[3] ?? never(), slot: "images.image1" }) ?? never();
    const change = settled(document, disconnect(root(document), [link.id])[0] ?? never(), TYPES);
    const { document: after, inverse } = apply(document, change);
    expect(sourcesOf(after, ids[3])).toEqual([ids[0], ids[2], undefined]);
    expect(apply(after, inverse).document).toEqual(document);
  });

  test("closes up when what fed it is removed", () => {
    const { document, ids } = batch();
    expect(sourcesOf(done(document, remove(document, root(document), { nodes: [ids[0] ?? never()] })), ids[3])).toEqual([ids[1], ids[2], undefined]);
  });

  test("takes a link dropped on the node into its free slot", () => {
    const { document, ids } = batch();
    expect(fittingSlot(document, root(document), ids[3] ?? never(), "input", "IMAGE", TYPES)?.name).toBe("images.image3");
  });
});

describe("a choice that brings inputs", () => {
  const like = () => {
    const { document, ids } = build(["Scale", "Resize"], [[0, "IMAGE", 1, "input"]]);
    const chosen = done(document, setValue(root(document), ids[1] ?? never(), "how", "like"));
    const to = { node: ids[1] ?? never(), slot: "how.like" };
    return { ids, document: run(chosen, connect(chosen, root(chosen), { node: ids[0] ?? never(), slot: "IMAGE" }, to, "IMAGE")) };
  };

  test("shows them below it, and cannot be linked itself", () => {
    const { document, ids } = like();
    expect(fieldsAt(document, ids[1])).toEqual(["how", "crop", "method"]);
    expect(inputsAt(document, ids[1])).toEqual(["input", "how.like"]);
    expect(slotAt(document, root(document), { node: ids[1] ?? never(), slot: "how" }, "input", TYPES)).toBeUndefined();
  });

  test("cuts links to inputs that go with another choice, in the same step", () => {
    const { document, ids } = like();
    const change = settled(document, setValue(root(document), ids[1] ?? never(), "how", "size") ?? never(), TYPES);
    const { document: after, inverse } = apply(document, change);
    expect(inputsAt(after, ids[1])).toEqual(["input"]);
    expect(linksAround(root(after), ids[1] ?? never()).into).toHaveLength(1);
    expect(apply(after, inverse).document).toEqual(document);
  });

  test("keeps its values for when it is made again, and sends those of now alone", () => {
    const { document, ids } = build(["Resize"]);
    const id = ids[0] ?? never();
    let now = done(document, setValue(root(document), id, "how.factor", 3));
    now = done(now, setValue(root(now), id, "how", "size"));
    now = done(now, setValue(root(now), id, "how.width", 64));
    const sent = (): Json | undefined => {
      const node = toPrompt(now, TYPES).prompt[id];
      return isObject(node ?? null) ? (node as { inputs: Json }).inputs : undefined;
    };
    expect(sent()).toEqual({ how: "size", "how.width": 64, "how.height": 512, method: "area" });
    now = readWorkflow(workflowJson(now, TYPES), TYPES).document;
    now = done(now, setValue(root(now), id, "how", "width"));
    expect(sent()).toEqual({ how: "width", "how.width": 64, method: "area" });
    now = done(now, setValue(root(now), id, "how", "factor"));
    expect(sent()).toEqual({ how: "factor", "how.factor": 3, method: "area" });
  });

  test("keeps what nobody knows", () => {
    const { document, ids } = like();
    const id = ids[1] ?? never();
    const slots = [{ name: "how.like", type: "IMAGE,MASK" }, { name: "how.crop", type: "COMBO", widget: true }];
    let now = run(document, { kind: "patch-node", level: ROOT, id, patch: { inputs: slots, values: { ...nodeOf(document, id).values, "how.crop": "yes" } } });
    now = done(now, setValue(root(now), id, "how", "from another version"));
    expect(nodeOf(now, id).values["how.crop"]).toBe("yes");
    expect(inputsAt(now, id)).toEqual(["input", "how.like"]);
    expect(fieldsAt(now, id)).toEqual(["how", "method", "how.crop"]);
    expect(linksAround(root(now), id).into).toHaveLength(2);
    const known = done(now, setValue(root(now), id, "how", "factor"));
    expect(nodeOf(known, id).inputs).toEqual([]);
    expect(linksAround(root(known), id).into).toHaveLength(1);
  });

  test("lists its values in the file right behind it", () => {
    const { document, ids } = build(["Resize"]);
    const values = (now: Document): Json | undefined => {
      const [node] = workflowJson(now, TYPES)["nodes"] as readonly Json[];
      return isObject(node ?? null) ? (node as { widgets_values: Json }).widgets_values : undefined;
    };
    expect(values(document)).toEqual(["factor", 1, "area"]);
    const sized = done(document, setValue(root(document), ids[0] ?? never(), "how", "size"));
    expect(values(sized)).toEqual(["size", 512, 512, "area"]);
    const read = readWorkflow(workflowJson(sized, TYPES), TYPES).document;
    expect(values(done(read, setValue(root(read), ids[0] ?? never(), "how", "width")))).toEqual(["width", 512, "area"]);
  });
});

describe("inputs and outputs of one type", () => {
  test("have the type of what is linked, and take no other", () => {
    const { document, ids } = build(["Scale", "Switch", "Load", "Save", "Decode"], [[0, "IMAGE", 1, "on_false"]]);
    const id = ids[1] ?? never();
    const { inputs, outputs } = slotsOf(document, nodeOf(document, id), TYPES);
    expect(inputs.map(({ type }) => type)).toEqual(["IMAGE", "IMAGE"]);
    expect(outputs[0]?.type).toBe("IMAGE");
    const level = root(document);
    const into = (node: NodeId | undefined, slot: string) => validTargets(document, level, { node: node ?? never(), slot }, "output", TYPES);
    expect(into(ids[2], "MODEL").has(`input\n${id}\non_true`)).toBe(false);
    expect(into(ids[4], "IMAGE").has(`input\n${id}\non_true`)).toBe(true);
    // What is linked may be linked to something else altogether.
    expect(into(ids[2], "MODEL").has(`input\n${id}\non_false`)).toBe(true);
    expect(into(id, "output").has(`input\n${ids[3]}\nimages`)).toBe(true);
    expect(into(id, "output").has(`input\n${ids[4]}\nsamples`)).toBe(false);
  });

  test("are any of those allowed while nothing is linked", () => {
    const { document, ids } = build(["Resize", "Switch"]);
    expect(slotsOf(document, nodeOf(document, ids[0]), TYPES).outputs[0]?.type).toBe("IMAGE,MASK");
    expect(slotsOf(document, nodeOf(document, ids[1]), TYPES).outputs[0]?.type).toBe("*");
  });

  test("hand their type on along a chain, and links carry it", () => {
    const { document, ids } = build(
      ["Scale", "Switch", "Switch", "Resize"],
      [
        [1, "output", 2, "on_true"],
        [2, "output", 3, "input"],
        [0, "IMAGE", 1, "on_false"],
      ],
    );
    expect(slotsOf(document, nodeOf(document, ids[3]), TYPES).outputs[0]?.type).toBe("IMAGE");
    expect([...root(document).links.values()].map((link) => carried(document, root(document), link, TYPES))).toEqual(["IMAGE", "IMAGE", "IMAGE"]);
  });

  test("a circle has no type of its own", () => {
    const { document, ids } = build(["Switch", "Switch"], [[0, "output", 1, "on_true"], [1, "output", 0, "on_true"]]);
    expect(slotsOf(document, nodeOf(document, ids[0]), TYPES).outputs[0]?.type).toBe("*");
  });
});

test("slots stay the same object until the links make a difference", () => {
  const { document, ids } = build(["Scale", "Scale", "Batch"], [[0, "IMAGE", 2, "images.image0"]]);
  const before = slotsOf(document, nodeOf(document, ids[2]), TYPES);
  const moved = run(document, { kind: "patch-node", level: ROOT, id: ids[0] ?? never(), patch: { position: { x: 1, y: 1 } } });
  expect(slotsOf(moved, nodeOf(moved, ids[2]), TYPES)).toBe(before);
  const linked = run(document, connect(document, root(document), { node: ids[1] ?? never(), slot: "IMAGE" }, { node: ids[2] ?? never(), slot: "images.image1" }, "IMAGE"));
  expect(slotsOf(linked, nodeOf(linked, ids[2]), TYPES)).not.toBe(before);
});

test("search by type finds what grows, matches, or stands under a choice", () => {
  const found = (query: string): string[] => search(TYPES.values(), query).map(({ type }) => type.name);
  expect(found("in:IMAGE")).toEqual(expect.arrayContaining(["Batch", "Resize"]));
  expect(found("in:MASK")).toContain("Resize");
  expect(found("out:MASK")).toContain("Resize");
});

/** Links that have no place: such as lead to inputs that another choice would bring. */
function misplaced(level: Level): string[] {
  return [...level.nodes.values()].flatMap((node) => {
    const type = TYPES.get(node.type);
    if (type === undefined) return [];
    const linked = new Set(linksAround(level, node.id).into.map((link) => link.to.slot));
    const shown = new Set(inputsOf(type, node.values, linked).map(({ name }) => name));
    return [...linked].filter((name) => {
      const owner = ownerOf(type, name);
      return !shown.has(name) && owner !== undefined && chosenOf(owner, node.values) !== undefined;
    });
  });
}

test("after any edits the file that is written stands for the same prompt, and no link leads to what is not there", () => {
  const kinds = Object.keys(STEPS);
  for (let seed = 0; seed < 60; seed++) {
    const roll = dice(seed + 900);
    let now = run(textToImage().document, undefined);
    for (let count = 0; count < 80; count++) {
      const level = now.levels.get(anyOf(now.levels.keys(), roll(1000)) ?? ROOT) ?? never();
      const kind = now.levels.size > 5 || level.nodes.size > 20 ? "remove" : (anyOf([...kinds, "choose", "connect", "connect", "add"], roll(1000)) ?? "add");
      now = run(now, STEPS[kind]?.(now, level, roll(1024), roll(1024)));
    }
    expect([...now.levels.values()].flatMap(misplaced), `seed ${seed}`).toEqual([]);
    const read = readWorkflow(workflowJson(now, TYPES), TYPES).document;
    const prompt = (document: Document): Json => toPrompt(document, TYPES, { random: () => 0 }).prompt;
    expect(prompt(read), `seed ${seed}`).toEqual(prompt(now));
  }
}, 60_000);
