// What the tests of editing share: a few node types, and documents made of random steps.

import type { Document, Level } from "../document";
import type { Change } from "../changes";
import { apply } from "../changes";
import { emptyLevel, levelOf } from "../document";
import { ROOT, type NodeId } from "../ids";
import { readNodeTypes } from "../types";
import { addNode } from "./nodes";
import { connect } from "./links";

export const TYPES = readNodeTypes({
  Load: { input: { required: { name: [["a", "b"]] } }, output: ["MODEL", "CLIP", "VAE"], output_name: ["MODEL", "CLIP", "VAE"] },
  Text: { input: { required: { clip: ["CLIP"], text: ["STRING", { multiline: true }] } }, output: ["COND"], output_name: ["COND"] },
  Sample: {
    input: { required: { model: ["MODEL"], positive: ["COND"], latent: ["LATENT"], seed: ["INT", { default: 7 }], cfg: ["FLOAT", { default: 8 }] } },
    output: ["LATENT"],
    output_name: ["LATENT"],
  },
  Decode: { input: { required: { samples: ["LATENT"], vae: ["VAE"] } }, output: ["IMAGE"], output_name: ["IMAGE"] },
  Save: { input: { required: { images: ["IMAGE"] } }, output: [], output_node: true },
  Scale: { input: { required: { image: ["IMAGE"] } }, output: ["IMAGE"], output_name: ["IMAGE"] },
  Batch: {
    input: { required: { images: ["COMFY_AUTOGROW_V3", { template: { input: { required: { image: ["IMAGE"] } }, prefix: "image", min: 2, max: 4 } }] } },
    output: ["IMAGE"],
    output_name: ["IMAGE"],
  },
  Resize: {
    input: {
      required: {
        input: ["COMFY_MATCHTYPE_V3", { template: { template_id: "T", allowed_types: "IMAGE,MASK" } }],
        how: [
          "COMFY_DYNAMICCOMBO_V3",
          {
            options: [
              { key: "factor", inputs: { required: { factor: ["FLOAT", { default: 1 }] } } },
              { key: "size", inputs: { required: { width: ["INT", { default: 512 }], height: ["INT", { default: 512 }] } } },
              { key: "like", inputs: { required: { like: ["IMAGE,MASK"], crop: [["no", "yes"]] } } },
              { key: "width", inputs: { required: { width: ["INT", { default: 512 }] } } },
            ],
          },
        ],
        method: [["area", "lanczos"]],
      },
    },
    output: ["COMFY_MATCHTYPE_V3"],
    output_name: ["resized"],
    output_matchtypes: ["T"],
  },
  Switch: {
    input: {
      required: {
        switch: ["BOOLEAN", { default: false }],
        on_false: ["COMFY_MATCHTYPE_V3", { template: { template_id: "S", allowed_types: "*" } }],
        on_true: ["COMFY_MATCHTYPE_V3", { template: { template_id: "S", allowed_types: "*" } }],
      },
    },
    output: ["COMFY_MATCHTYPE_V3"],
    output_name: ["output"],
    output_matchtypes: ["S"],
  },
  Number: { input: { required: { value: ["INT", { default: 1 }] } }, output: ["INT"], output_name: ["INT"] },
});

export const blank = (): Document => ({ id: "d", levels: new Map([[ROOT, emptyLevel(ROOT)]]), rest: {} });

export interface Graph {
  document: Document;
  readonly ids: NodeId[];
}

export const root = (document: Document): Level => levelOf(document, ROOT);

export function run(document: Document, change: Change | undefined): Document {
  return change === undefined ? document : apply(document, change).document;
}

/** A document with a node of each of `types`, 300 apart, and `links` as [from, slot, to, slot]. */
export function build(types: readonly string[], links: readonly (readonly [number, string, number, string])[] = []): Graph {
  let document = blank();
  const ids: NodeId[] = [];
  types.forEach((name, place) => {
    const type = TYPES.get(name);
    if (type === undefined) throw new Error(`no type ${name}`);
    const made = addNode(document, root(document), type, { x: place * 300, y: 0 });
    document = run(document, made.change);
    ids.push(made.node.id);
  });
  for (const [from, out, to, into] of links) {
    const [a, b] = [ids[from], ids[to]];
    if (a === undefined || b === undefined) throw new Error("no such node");
    document = run(document, connect(document, root(document), { node: a, slot: out }, { node: b, slot: into }, out));
  }
  return { document, ids };
}

/** Load, Text, Sample, Decode, Save in a row. */
export const textToImage = (): Graph =>
  build(
    ["Load", "Text", "Sample", "Decode", "Save"],
    [
      [0, "MODEL", 2, "model"],
      [0, "CLIP", 1, "clip"],
      [0, "VAE", 3, "vae"],
      [1, "COND", 2, "positive"],
      [2, "LATENT", 3, "samples"],
      [3, "IMAGE", 4, "images"],
    ],
  );

/** A document without the order of its parts, for comparisons: undoing may put them elsewhere in their lists. */
export function unordered(document: Document): unknown {
  const byId = (a: { id: string }, b: { id: string }): number => a.id.localeCompare(b.id);
  const list = <T extends { id: string }>(items: ReadonlyMap<unknown, T>): T[] => [...items.values()].sort(byId);
  return list(document.levels).map((level) => ({
    ...level,
    nodes: list(level.nodes),
    links: list(level.links),
    frames: list(level.frames),
    reroutes: list(level.reroutes),
  }));
}

export const anyOf = <T>(items: Iterable<T>, pick: number): T | undefined => {
  const list = [...items];
  return list[pick % Math.max(list.length, 1)];
};

/** Some of the nodes, chosen by the bits of `pick`. */
export const someOf = (level: Level, pick: number): NodeId[] => [...level.nodes.keys()].filter((_, place) => ((pick >> place % 10) & 1) === 1);


/** Numbers from 0 up to `limit`, without it, that follow from a seed. */
export type Dice = (limit: number) => number;

export function dice(seed: number): Dice {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}
