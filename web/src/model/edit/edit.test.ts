import fc from "fast-check";
import { expect, test } from "vitest";
import { apply, type Change } from "../changes";
import type { Document, Level } from "../document";
import { levelOf } from "../document";
import { levelId, ROOT } from "../ids";
import { align, distribute } from "./align";
import { publish, useBlueprint } from "./blueprint";
import { copyOf, duplicate, paste } from "./fragment";
import { fitFrame, frameAround, moveFrame, toggleFrameMode } from "./frames";
import { connect, disconnect, fittingSlot, insertOnLink, moveLink, validTargets } from "./links";
import { addNode, colour, moveBy, remove, rename, resize, toggleFlag, toggleMode } from "./nodes";
import { addPort, demote, labelPort, movePort, promote, removePort } from "./ports";
import { addReroute, removeReroutes, wayOf } from "./reroutes";
import { slotsAt } from "./slots";
import { faults } from "./sound";
import { makeSubgraph, makeUnique, renameSubgraph, unpack } from "./subgraph";
import { anyOf, run, someOf, textToImage, TYPES, unordered } from "./testing";
import { all } from "../changes";

type Made = Change | undefined;
type Step = (document: Document, level: Level, a: number, b: number) => Made;
let fresh = 0;

const orNone = (changes: readonly Change[]): Made => (changes.length === 0 ? undefined : all(...changes));

/** Every way to edit, as a function of a document and two numbers. */
const STEPS: Record<string, Step> = {
  add: (document, level, a, b) => addNode(document, level, anyOf(TYPES.values(), a) ?? never(), { x: a, y: b }).change,
  connect: (document, level, a, b) => {
    const from = anyOf(level.nodes.keys(), a);
    const output = from === undefined ? undefined : anyOf(slotsAt(document, level, from, "output", TYPES), b);
    if (from === undefined || output === undefined) return undefined;
    const end = { node: from, slot: output.name };
    const target = anyOf(validTargets(document, level, end, "output", TYPES), b)?.split("\n");
    if (target?.[1] === undefined || target[2] === undefined) return undefined;
    return connect(document, level, end, { node: target[1] as typeof from, slot: target[2] }, output.type);
  },
  disconnect: (_document, level, a) => {
    const id = anyOf(level.links.keys(), a);
    return id === undefined ? undefined : orNone(disconnect(level, [id]));
  },
  insert: (document, level, a, b) => {
    const [node, link] = [anyOf(level.nodes.keys(), a), anyOf(level.links.keys(), b)];
    return node === undefined || link === undefined ? undefined : insertOnLink(document, level, node, link, TYPES);
  },
  move: (document, level, a, b) => {
    const link = anyOf(level.links.values(), a);
    if (link === undefined) return undefined;
    const target = anyOf(validTargets(document, level, link.from, "output", TYPES), b)?.split("\n");
    const node = [...level.nodes.keys()].find((id) => id === target?.[1]);
    return node === undefined || target?.[2] === undefined ? undefined : moveLink(level, link.id, "input", { node, slot: target[2] }, link.type);
  },
  remove: (document, level, a) => remove(document, level, { nodes: someOf(level, a).slice(0, 2) }),
  "remove keeping links": (document, level, a) => remove(document, level, { nodes: someOf(level, a).slice(0, 2) }, true),
  duplicate: (document, level, a) => duplicate(document, level, someOf(level, a).slice(0, 3))?.change,
  paste: (document, level, a) => paste(document, level, copyOf(document, level, someOf(level, a).slice(0, 3)), { at: { x: a, y: 0 } }).change,
  rename: (_document, level, a) => anyId(level, a, (id) => rename(level, id, a % 2 === 0 ? "named" : " ")),
  colour: (_document, level, a) => colour(level, someOf(level, a), a % 2 === 0 ? "#234" : undefined),
  mode: (_document, level, a) => toggleMode(level, someOf(level, a), a % 2 === 0 ? "mute" : "bypass"),
  flag: (_document, level, a) => toggleFlag(level, someOf(level, a), "collapsed"),
  nudge: (_document, level, a, b) => moveBy(level, someOf(level, a), { x: b, y: a }),
  resize: (_document, level, a, b) => anyId(level, a, (id) => resize(level, id, { width: a, height: b })),
  frame: (document, level, a) => frameAround(document, level, someOf(level, a), "frame", TYPES)?.change,
  "fit frame": (document, level, a) => anyFrame(level, a, (id) => fitFrame(document, level, id, TYPES)),
  "move frame": (document, level, a, b) => anyFrame(level, a, (id) => moveFrame(document, level, id, { x: a, y: b }, TYPES)),
  "mute frame": (document, level, a) => anyFrame(level, a, (id) => toggleFrameMode(document, level, id, "mute", TYPES)),
  reroute: (document, level, a, b) => {
    const link = anyOf(level.links.values(), a);
    return link === undefined ? undefined : addReroute(document, level, link.id, b % (wayOf(level, link).length + 1), { x: a, y: b });
  },
  "remove reroutes": (_document, level, a) => {
    const id = anyOf(level.reroutes.keys(), a);
    return id === undefined ? undefined : orNone(removeReroutes(level, new Set([id])));
  },
  align: (document, level, a) => align(document, level, someOf(level, a), "right", TYPES),
  distribute: (document, level, a) => distribute(document, level, someOf(level, a), "x", TYPES),
  "make subgraph": (document, level, a) => {
    const ids = someOf(level, a).slice(0, 3);
    return makeSubgraph(document, level, ids, "Part", levelId(`level-${fresh++}`), TYPES)?.change;
  },
  unpack: (document, level, a) => anyInstance(document, level, a, (id) => unpack(document, level, id)?.change),
  unique: (document, level, a) => anyInstance(document, level, a, (id) => makeUnique(document, level, id, levelId(`level-${fresh++}`))),
  blueprint: (document, level, a) =>
    anyInstance(document, level, a, (id) => {
      const blueprint = publish(document, level, id);
      return blueprint === undefined ? undefined : useBlueprint(document, level, blueprint, { x: a, y: 0 }).change;
    }),
  "name subgraph": (_document, level) => renameSubgraph(level, "Another"),
  "add port": (document, level, a, b) =>
    anyId(level, a, (id) => {
      const side = b % 2 === 0 ? "input" : "output";
      const slot = anyOf(slotsAt(document, level, id, side, TYPES), b);
      return slot === undefined ? undefined : addPort(document, level, { node: id, slot: slot.name }, side, `p${fresh++}`, TYPES)?.change;
    }),
  "label port": (_document, level, a) => anyPort(level, a, (name) => labelPort(level, "input", name, "Label")),
  "move port": (_document, level, a) => anyPort(level, a, (name) => movePort(level, "input", name, a % 2 === 0 ? 1 : -1)),
  "remove port": (document, level, a) => anyPort(level, a, (name) => removePort(document, level, "input", name)),
  promote: (document, level, a, b) =>
    anyId(level, a, (id) => {
      const field = anyOf(slotsAt(document, level, id, "input", TYPES).filter((slot) => slot.widget !== undefined), b);
      return field === undefined ? undefined : promote(document, level, id, field.name, `p${fresh++}`, TYPES);
    }),
  demote: (document, level, a, b) =>
    anyId(level, a, (id) => {
      const field = anyOf(slotsAt(document, level, id, "input", TYPES).filter((slot) => slot.widget !== undefined), b);
      return field === undefined ? undefined : demote(document, level, id, field.name);
    }),
};

function never(): never {
  throw new Error("there are types");
}

const anyId = (level: Level, pick: number, then: (id: Level["nodes"] extends ReadonlyMap<infer K, unknown> ? K : never) => Made): Made => {
  const id = anyOf(level.nodes.keys(), pick);
  return id === undefined ? undefined : then(id);
};
const anyFrame = (level: Level, pick: number, then: (id: Level["frames"] extends ReadonlyMap<infer K, unknown> ? K : never) => Made): Made => {
  const id = anyOf(level.frames.keys(), pick);
  return id === undefined ? undefined : then(id);
};
const anyPort = (level: Level, pick: number, then: (name: string) => Made): Made => {
  const port = anyOf(level.definition?.inputs ?? [], pick);
  return port === undefined ? undefined : then(port.name);
};
const anyInstance = (document: Document, level: Level, pick: number, then: Parameters<typeof anyId>[2]): Made => {
  const node = anyOf([...level.nodes.values()].filter((each) => document.levels.has(levelId(each.type))), pick);
  return node === undefined ? undefined : then(node.id);
};

test("every edit keeps the document sound, and its inverse restores what was before", () => {
  const kinds = Object.keys(STEPS);
  const steps = fc.array(fc.tuple(fc.constantFrom(...kinds), fc.nat(1023), fc.nat(1023), fc.nat(5)), { minLength: 40, maxLength: 60 });
  const done = new Map<string, number>();
  fc.assert(
    fc.property(steps, (chosen) => {
      let { document } = textToImage();
      for (const [kind, a, b, where] of chosen) {
        const level = levelOf(document, anyOf(document.levels.keys(), where) ?? ROOT);
        const change = STEPS[kind]?.(document, level, a, b);
        if (change === undefined) continue;
        done.set(kind, (done.get(kind) ?? 0) + 1);
        const after = apply(document, change);
        expect(faults(after.document), kind).toEqual([]);
        expect(unordered(apply(after.document, after.inverse).document), kind).toEqual(unordered(document));
        document = after.document;
      }
    }),
    { numRuns: 100 },
  );
  expect(kinds.filter((kind) => !done.has(kind))).toEqual([]);
});

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
