// Every way to edit, as a function of a document and two numbers: what the tests of undo and of files choose from.

import { all, type Change } from "../changes";
import type { Document, Level } from "../document";
import { levelId } from "../ids";
import { align, distribute, type Alignment } from "./align";
import { publish, useBlueprint } from "./blueprint";
import { copyOf, duplicate, paste } from "./fragment";
import { addFrame, fitFrame, frameAround, moveFrame, patchFrame, toggleFrameMode } from "./frames";
import { arranged, layoutTask } from "./layout";
import { layOut } from "./layout.worker";
import { connect, disconnect, insertOnLink, moveLink, validTargets } from "./links";
import { addNode, colour, fitNode, moveBy, remove, rename, resize, setMode, setValue, toggleFlag, toggleMode } from "./nodes";
import { addPort, demote, labelPort, movePort, promote, removePort } from "./ports";
import { addReroute, removeReroutes, wayOf } from "./reroutes";
import { settled } from "./settle";
import { slotsAt } from "./slots";
import { makeSubgraph, makeUnique, renameSubgraph, unpack } from "./subgraph";
import { anyOf, someOf, TYPES } from "./testing";

const ALIGNMENTS: readonly Alignment[] = ["left", "centre", "right", "top", "middle", "bottom"];

type Made = Change | undefined;
export type Step = (document: Document, level: Level, a: number, b: number) => Made;

/** `step` as the editor does it: with what must follow. */
const settling =
  (step: Step): Step =>
  (document, level, a, b) => {
    const made = step(document, level, a, b);
    return made === undefined ? undefined : settled(document, made, TYPES);
  };
let fresh = 0;

const orNone = (changes: readonly Change[]): Made => (changes.length === 0 ? undefined : all(...changes));

const PLAIN: Readonly<Record<string, Step>> = {
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
  value: (document, level, a, b) =>
    anyId(level, a, (id) => {
      const field = anyOf(slotsAt(document, level, id, "input", TYPES).filter((slot) => slot.widget !== undefined), b);
      return field === undefined ? undefined : setValue(level, id, field.name, b % 3 === 0 ? 2n ** 63n + BigInt(b) : b);
    }),
  choose: (_document, level, a, b) => {
    const node = anyOf([...level.nodes.values()].filter((each) => each.type === "Resize"), a);
    const value = anyOf(["factor", "size", "like", "width", "unknown", 3], b);
    return node === undefined || value === undefined ? undefined : setValue(level, node.id, "how", value);
  },
  "set mode": (_document, level, a, b) => setMode(level, someOf(level, a), (["normal", "mute", "bypass"] as const)[b % 3] ?? "normal"),
  fit: (document, level, a) => anyId(level, a, (id) => fitNode(document, level, id, TYPES)),
  "add frame": (document, level, a, b) => addFrame(document, level, { x: a, y: b, width: 300, height: 200 }, "empty").change,
  "patch frame": (_document, level, a) => anyFrame(level, a, (id) => patchFrame(level, id, { title: `f${a}`, color: a % 2 === 0 ? undefined : "#345" })),
  "remove frame": (document, level, a) => anyFrame(level, a, (id) => remove(document, level, { frames: [id] })),
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
  align: (document, level, a, b) => align(document, level, someOf(level, a), ALIGNMENTS[b % ALIGNMENTS.length] ?? "left", TYPES),
  distribute: (document, level, a, b) => distribute(document, level, someOf(level, a), b % 2 === 0 ? "x" : "y", TYPES),
  "lay out": (document, level, a) => arranged(document, level, layOut(layoutTask(document, level, someOf(level, a), TYPES)), TYPES),
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

/** Every way to edit, as a function of a document and two numbers. */
export const STEPS: Readonly<Record<string, Step>> = Object.fromEntries(Object.entries(PLAIN).map(([name, step]) => [name, settling(step)]));

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
