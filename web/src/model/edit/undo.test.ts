// Laws of undo: whatever was done, undoing all of it leads to the start and redoing all of it to the end, to the byte.

import { expect, test } from "vitest";
import { apply, type Change } from "../changes";
import { levelOf, type Document, type Level } from "../document";
import { workflowJson } from "../formats/workflow";
import { edit, NO_HISTORY, redo, undo, type Edited } from "../history";
import { frameId, levelId, linkId, rerouteId, ROOT } from "../ids";
import { writeJson } from "../json";
import { faults } from "./sound";
import { STEPS } from "./steps";
import { anyOf, dice, textToImage, TYPES, type Dice } from "./testing";

const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);
const CHANGES = 200;
const MAX_NODES = 30;

/** Maps as lists, so that their order counts too. */
const inOrder = (value: unknown): unknown => {
  if (value instanceof Map) return [...value].map(([key, item]) => [key, inOrder(item)]);
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined).map(([key, item]) => [key, inOrder(item)]));
};
const asFile = (document: Document): string => writeJson(workflowJson(document, TYPES));

const kinds = Object.keys(STEPS);

function someStep(document: Document, roll: Dice): [string, Change] | undefined {
  const level = levelOf(document, anyOf(document.levels.keys(), roll(1000)) ?? ROOT);
  const nodes = [...document.levels.values()].reduce((sum, each) => sum + each.nodes.size, 0);
  const kind = nodes > MAX_NODES ? "remove" : (kinds[roll(kinds.length)] ?? "add");
  const change = STEPS[kind]?.(document, level, roll(1024), roll(1024));
  return change === undefined ? undefined : [kind, change];
}

test("undoing 200 edits of every kind leads to the start, redoing them to the end, to the byte of the file", () => {
  const done = new Set<string>();
  for (const seed of SEEDS) {
    const roll = dice(seed);
    const start = textToImage().document;
    let now: Edited = { document: start, history: NO_HISTORY };
    for (let count = 0; count < CHANGES; count++) {
      const step = someStep(now.document, roll);
      if (step === undefined) continue;
      const before = now.document;
      done.add(step[0]);
      now = edit(now, step[1], step[0], roll(3) === 0 ? "gesture" : undefined);
      if (count % 20 !== 0) continue;
      expect(faults(now.document), `seed ${seed}, ${step[0]}`).toEqual([]);
      const { document, inverse } = apply(before, step[1]);
      expect(inOrder(apply(document, inverse).document), `seed ${seed}, ${step[0]}`).toEqual(inOrder(before));
    }
    expect(faults(now.document), `seed ${seed}`).toEqual([]);
    const [end, file] = [now.document, asFile(now.document)];
    while (now.history.done.length > 0) now = undo(now);
    expect(inOrder(now.document), `seed ${seed}`).toEqual(inOrder(start));
    expect(asFile(now.document), `seed ${seed}`).toBe(asFile(start));
    while (now.history.undone.length > 0) now = redo(now);
    expect(inOrder(now.document), `seed ${seed}`).toEqual(inOrder(end));
    expect(asFile(now.document), `seed ${seed}`).toBe(file);
  }
  expect(kinds.filter((kind) => !done.has(kind))).toEqual([]);
}, 60_000);

type Make = (document: Document, level: Level, roll: Dice) => Change | undefined;

const given = <T>(item: T | undefined, make: (item: T) => Change): Change | undefined => (item === undefined ? undefined : make(item));
const nodeOf = (level: Level, roll: Dice) => anyOf(level.nodes.values(), roll(1000));
const newId = (roll: Dice): string => `x${roll(2 ** 30)}`;

/** One generator for each kind of change; the compiler asks for every one of them. */
const PLAIN: Readonly<Record<Exclude<Change["kind"], "all">, Make>> = {
  "add-node": (_, level, roll) => given(nodeOf(level, roll) ?? [...textToImage().document.levels.values()][0]?.nodes.values().next().value, (node) => {
    return { kind: "add-node", level: level.id, node: { ...node, id: newId(roll) as typeof node.id }, ...(roll(2) === 0 ? {} : { at: roll(9) }) };
  }),
  "remove-node": (_, level, roll) => given(nodeOf(level, roll), ({ id }) => ({ kind: "remove-node", level: level.id, id })),
  "patch-node": (_, level, roll) => given(nodeOf(level, roll), ({ id }) => {
    const patches = [
      { title: undefined }, { title: "t" }, { position: { x: roll(9), y: 1 } }, { values: { a: 2n ** 64n, __proto__: 1 } },
      { mode: "mute" as const, collapsed: true }, { color: "#111", pinned: true }, { properties: { k: [roll(9)] } }, { inputs: [], outputs: [] },
    ];
    return { kind: "patch-node", level: level.id, id, patch: patches[roll(patches.length)] ?? {} };
  }),
  "add-link": (_, level, roll) => given(nodeOf(level, roll), (node) => {
    const link = { id: linkId(newId(roll)), from: { node: node.id, slot: "a" }, to: { node: nodeOf(level, roll)?.id ?? node.id, slot: newId(roll) }, type: "*" };
    return { kind: "add-link", level: level.id, link, ...(roll(2) === 0 ? {} : { at: roll(9) }) };
  }),
  "remove-link": (_, level, roll) => given(anyOf(level.links.keys(), roll(1000)), (id) => ({ kind: "remove-link", level: level.id, id })),
  "patch-link": (_, level, roll) => given(anyOf(level.links.keys(), roll(1000)), (id) => {
    return { kind: "patch-link", level: level.id, id, patch: roll(2) === 0 ? { via: undefined } : { type: `T${roll(5)}`, via: rerouteId("1") } };
  }),
  "add-frame": (_, level, roll) => {
    const frame = { id: frameId(newId(roll)), title: "f", position: { x: 1, y: 2 }, size: { width: 3, height: 4 }, rest: {} };
    return { kind: "add-frame", level: level.id, frame };
  },
  "remove-frame": (_, level, roll) => given(anyOf(level.frames.keys(), roll(1000)), (id) => ({ kind: "remove-frame", level: level.id, id })),
  "patch-frame": (_, level, roll) => given(anyOf(level.frames.keys(), roll(1000)), (id) => {
    return { kind: "patch-frame", level: level.id, id, patch: roll(2) === 0 ? { color: "#222" } : { color: undefined, title: "g" } };
  }),
  "add-reroute": (_, level, roll) => ({ kind: "add-reroute", level: level.id, reroute: { id: rerouteId(newId(roll)), position: { x: 0, y: roll(9) } } }),
  "remove-reroute": (_, level, roll) => given(anyOf(level.reroutes.keys(), roll(1000)), (id) => ({ kind: "remove-reroute", level: level.id, id })),
  "move-reroute": (_, level, roll) => given(anyOf(level.reroutes.keys(), roll(1000)), (id) => {
    return { kind: "move-reroute", level: level.id, id, to: { x: roll(99), y: roll(99) } };
  }),
  "add-level": (document, level, roll) => {
    const ends = { inputPosition: { x: 0, y: 0 }, outputPosition: { x: 9, y: 9 } };
    const definition = { name: "n", inputs: [], outputs: [], ...ends };
    return document.levels.size > 6 ? undefined : { kind: "add-level", level: { ...level, id: levelId(newId(roll)), definition } };
  },
  "remove-level": (document, _, roll) => given([...document.levels.keys()].filter((id) => id !== ROOT)[roll(3)], (id) => ({ kind: "remove-level", id })),
  "define-level": (document, _, roll) => given([...document.levels.values()].filter((level) => level.definition !== undefined)[roll(3)], (level) => {
    const { definition } = level;
    if (definition === undefined) throw new Error("there is one");
    return { kind: "define-level", id: level.id, definition: { ...definition, name: `n${roll(99)}` } };
  }),
  "patch-rest": (_, __, roll) => ({ kind: "patch-rest", rest: { extra: { a: roll(9) } } }),
};

test("undoing 200 changes of every kind, alone and together, leads to the start, redoing them to the end", () => {
  const names = Object.keys(PLAIN) as (keyof typeof PLAIN)[];
  const done = new Set<string>();
  for (const seed of SEEDS) {
    const roll = dice(seed + 5000);
    const start = textToImage().document;
    let now: Edited = { document: start, history: NO_HISTORY };
    for (let count = 0; count < CHANGES; count++) {
      const kind = names[roll(names.length)] ?? "patch-rest";
      const level = levelOf(now.document, anyOf(now.document.levels.keys(), roll(1000)) ?? ROOT);
      if (level.nodes.size > MAX_NODES && kind === "add-node") continue;
      const change = PLAIN[kind](now.document, level, roll);
      if (change === undefined) continue;
      done.add(kind);
      const more = roll(4) === 0 ? PLAIN["patch-rest"](now.document, level, roll) : undefined;
      const whole: Change = more === undefined ? change : { kind: "all", changes: [more, { kind: "all", changes: [change] }] };
      now = edit(now, whole, kind, roll(2) === 0 ? `gesture ${roll(2)}` : undefined);
    }
    const end = now.document;
    while (now.history.done.length > 0) now = undo(now);
    expect(inOrder(now.document), `seed ${seed}`).toEqual(inOrder(start));
    while (now.history.undone.length > 0) now = redo(now);
    expect(inOrder(now.document), `seed ${seed}`).toEqual(inOrder(end));
  }
  expect(names.filter((name) => !done.has(name))).toEqual([]);
}, 60_000);

test("a drag of minutes is one small step", () => {
  const start = textToImage().document;
  const [id] = [...levelOf(start, ROOT).nodes.keys()];
  if (id === undefined) throw new Error("there are nodes");
  let now: Edited = { document: start, history: NO_HISTORY };
  for (let x = 0; x < 20_000; x++) now = edit(now, { kind: "patch-node", level: ROOT, id, patch: { position: { x, y: 0 } } }, "move", "drag");
  expect(now.history.done).toHaveLength(1);
  expect(JSON.stringify(now.history.done[0]).length).toBeLessThan(500);
  expect(inOrder(undo(now).document)).toEqual(inOrder(start));
  expect(inOrder(redo(undo(now)).document)).toEqual(inOrder(now.document));
});

test("thousands of changes in one gesture are not too deep to undo", () => {
  const start = textToImage().document;
  let now: Edited = { document: start, history: NO_HISTORY };
  for (let number = 0; number < 3000; number++) {
    const reroute = { id: rerouteId(number), position: { x: 0, y: 0 } };
    now = edit(now, { kind: "add-reroute", level: ROOT, reroute }, "add", "stroke");
  }
  expect(inOrder(undo(now).document)).toEqual(inOrder(start));
});
