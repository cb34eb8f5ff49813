import { expect, test } from "vitest";
import { levelOf, type Document } from "../document";
import { levelId, ROOT } from "../ids";
import { fittingSlot, insertOnLink, validTargets } from "./links";
import { addNode, remove } from "./nodes";
import { demote, promote } from "./ports";
import { makeSubgraph, unpack } from "./subgraph";
import { run, textToImage, TYPES } from "./testing";

function never(): never {
  throw new Error("there are types");
}

test("a link dropped on a node's body takes the free slot of just its type", () => {
  const { document, ids } = textToImage();
  const level = levelOf(document, ROOT);
  const sample = ids[2] ?? never();
  expect(fittingSlot(document, level, sample, "input", "LATENT", TYPES)?.name).toBe("latent");
  expect(fittingSlot(document, level, sample, "input", "INT", TYPES)?.name).toBe("seed");
  expect(fittingSlot(document, level, sample, "input", "IMAGE", TYPES)).toBeUndefined();
});

test("no target would close a loop", () => {
  const { document, ids } = textToImage();
  const level = levelOf(document, ROOT);
  const [decode, sample] = [ids[3] ?? never(), ids[2] ?? never()];
  const targets = validTargets(document, level, { node: sample, slot: "LATENT" }, "output", TYPES);
  expect(targets.has(`input\n${decode}\nsamples`)).toBe(true);
  expect(targets.has(`input\n${sample}\nlatent`)).toBe(false);
});

test("making a subgraph and unpacking it gives the same links again", () => {
  const { document, ids } = textToImage();
  const made = makeSubgraph(document, levelOf(document, ROOT), [ids[1] ?? never(), ids[2] ?? never()], "Part", levelId("part"), TYPES);
  const packed = run(document, made?.change);
  expect(levelOf(packed, ROOT).nodes.size).toBe(4);
  expect(levelOf(packed, levelId("part")).definition?.inputs.map((port) => port.name)).toEqual(["model", "clip"]);
  const again = run(packed, unpack(packed, levelOf(packed, ROOT), made?.node ?? never())?.change);
  const shape = (of: Document): string[] => {
    const level = levelOf(of, ROOT);
    const type = (id: string): string | undefined => [...level.nodes.values()].find((node) => node.id === id)?.type;
    return [...level.links.values()].map((link) => `${type(link.from.node)}.${link.from.slot}>${type(link.to.node)}.${link.to.slot}`).sort();
  };
  expect(shape(again)).toEqual(shape(document));
  expect(again.levels.size).toBe(1);
});

test("a promoted widget's value is the instance's own, and goes back when it is taken back", () => {
  const { document, ids } = textToImage();
  const sample = ids[2] ?? never();
  const part = levelId("part");
  const made = makeSubgraph(document, levelOf(document, ROOT), [sample], "Part", part, TYPES);
  let now = run(document, made?.change);
  now = run(now, promote(now, levelOf(now, part), sample, "cfg", "p1", TYPES));
  const instance = made?.node ?? never();
  expect(levelOf(now, ROOT).nodes.get(instance)?.values).toEqual({ cfg: 8 });
  now = run(now, { kind: "patch-node", level: ROOT, id: instance, patch: { values: { cfg: 3 } } });
  const back = run(now, demote(now, levelOf(now, part), sample, "cfg"));
  expect(levelOf(back, part).nodes.get(sample)?.values["cfg"]).toBe(3);
  expect(levelOf(back, ROOT).nodes.get(instance)?.values).toEqual({});
  const unpacked = run(now, unpack(now, levelOf(now, ROOT), instance)?.change);
  expect([...levelOf(unpacked, ROOT).nodes.values()].find((node) => node.type === "Sample")?.values["cfg"]).toBe(3);
});

test("deleting a node and keeping its links lets what fed it feed what it fed", () => {
  const { document, ids } = textToImage();
  const scale = addNode(document, levelOf(document, ROOT), TYPES.get("Scale") ?? never(), { x: 0, y: 0 });
  let now = run(document, scale.change);
  const last = [...levelOf(now, ROOT).links.values()].find((link) => link.to.node === ids[4]);
  now = run(now, insertOnLink(now, levelOf(now, ROOT), scale.node.id, last?.id ?? never(), TYPES));
  expect(levelOf(now, ROOT).links.size).toBe(7);
  now = run(now, remove(now, levelOf(now, ROOT), { nodes: [scale.node.id] }, true));
  const link = [...levelOf(now, ROOT).links.values()].find((each) => each.to.node === ids[4]);
  expect(link?.from).toEqual({ node: ids[3], slot: "IMAGE" });
});
