import fc from "fast-check";
import { expect, test } from "vitest";
import { apply, type Change } from "./changes";
import { emptyLevel, levelOf, type Document, type Node } from "./document";
import { edit, NO_HISTORY, redo, undo, type Edited } from "./history";
import { linkId, nodeId, ROOT } from "./ids";

const node = (id: string): Node => ({
  id: nodeId(id),
  type: "Toy",
  position: { x: 0, y: 0 },
  size: { width: 200, height: 100 },
  mode: "normal",
  collapsed: false,
  pinned: false,
  values: {},
  control: {},
  inputs: [],
  outputs: [],
  properties: {},
  rest: {},
});

const start: Document = { id: "d", levels: new Map([[ROOT, emptyLevel(ROOT)]]), rest: {} };

/** A change that fits `document`, chosen by numbers. */
function someChange(document: Document, pick: number, value: number): Change {
  const level = levelOf(document, ROOT);
  const ids = [...level.nodes.keys()];
  const links = [...level.links.keys()];
  const id = ids[value % Math.max(ids.length, 1)];
  const link = links[value % Math.max(links.length, 1)];
  if (pick === 1 && id !== undefined) return { kind: "remove-node", level: ROOT, id };
  if (pick === 2 && id !== undefined) {
    const patch = value % 2 === 0 ? { position: { x: value, y: 1 } } : { title: value % 3 === 0 ? undefined : `t${value}` };
    return { kind: "patch-node", level: ROOT, id, patch };
  }
  if (pick === 3 && id !== undefined && ids[0] !== undefined) {
    const ends = { from: { node: ids[0], slot: "a" }, to: { node: id, slot: "b" } };
    return { kind: "add-link", level: ROOT, link: { id: linkId(`l${level.links.size}-${value}-${crypto.randomUUID()}`), type: "*", ...ends } };
  }
  if (pick === 4 && link !== undefined) return { kind: "remove-link", level: ROOT, id: link };
  if (pick === 5 && id !== undefined) {
    const two: Change[] = [
      { kind: "patch-node", level: ROOT, id, patch: { collapsed: value % 2 === 0 } },
      { kind: "patch-node", level: ROOT, id, patch: { values: { seed: value } } },
    ];
    return { kind: "all", changes: two };
  }
  return { kind: "add-node", level: ROOT, node: node(crypto.randomUUID()) };
}

const plain = (document: Document): unknown => {
  const level = levelOf(document, ROOT);
  const byId = (a: { id: string }, b: { id: string }): number => a.id.localeCompare(b.id);
  return { nodes: [...level.nodes.values()].sort(byId), links: [...level.links.values()].sort(byId) };
};

test("undoing 200 random changes leads to the start, redoing them to the end", () => {
  const picks = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.nat(1000), fc.boolean()), { minLength: 200, maxLength: 200 });
  fc.assert(
    fc.property(picks, (steps) => {
      let now: Edited = { document: start, history: NO_HISTORY };
      for (const [pick, value, gesture] of steps)
        now = edit(now, someChange(now.document, pick, value), "step", gesture ? "drag" : undefined);
      const end = plain(now.document);
      while (now.history.done.length > 0) now = undo(now);
      expect(plain(now.document)).toEqual(plain(start));
      while (now.history.undone.length > 0) now = redo(now);
      expect(plain(now.document)).toEqual(end);
    }),
    { numRuns: 20 },
  );
});

test("removing a node takes its links along, and undoing brings them back", () => {
  const [a, b] = [node("a"), node("b")];
  const link = { id: linkId(1), from: { node: a.id, slot: "x" }, to: { node: b.id, slot: "y" }, type: "*" };
  const made = apply(start, {
    kind: "all",
    changes: [
      { kind: "add-node", level: ROOT, node: a },
      { kind: "add-node", level: ROOT, node: b },
      { kind: "add-link", level: ROOT, link },
    ],
  }).document;
  const gone = apply(made, { kind: "remove-node", level: ROOT, id: a.id });
  expect(levelOf(gone.document, ROOT).links.size).toBe(0);
  expect(plain(apply(gone.document, gone.inverse).document)).toEqual(plain(made));
});

test("a change that does not fit is a bug, and says so", () => {
  expect(() => apply(start, { kind: "remove-node", level: ROOT, id: nodeId("x") })).toThrow(/has no x/);
});
