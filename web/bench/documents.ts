// A document as large as asked for: groups that make a picture each, about one and a half links a node.

import { emptyLevel, type Document, type Frame, type Link, type Node } from "../src/model/document";
import { frameId, linkId, nodeId, ROOT } from "../src/model/ids";
import { newNode } from "../src/model/edit/nodes";
import { readNodeTypes } from "../src/model/types";

export const BENCH_TYPES = readNodeTypes({
  Checkpoint: {
    display_name: "Load checkpoint",
    category: "loaders",
    input: { required: { ckpt_name: [["sd15/base.safetensors", "sdxl/base.safetensors"]] } },
    output: ["MODEL", "CLIP", "VAE"],
    output_name: ["MODEL", "CLIP", "VAE"],
  },
  Prompt: {
    display_name: "Encode prompt",
    category: "conditioning",
    input: { required: { text: ["STRING", { multiline: true, default: "a lighthouse on a cliff above a stormy sea" }], clip: ["CLIP"] } },
    output: ["CONDITIONING"],
    output_name: ["CONDITIONING"],
  },
  Latent: {
    display_name: "Empty latent",
    category: "latent",
    input: { required: { width: ["INT", { default: 512 }], height: ["INT", { default: 512 }], batch_size: ["INT", { default: 1 }] } },
    output: ["LATENT"],
    output_name: ["LATENT"],
  },
  Sampler: {
    display_name: "Sample",
    category: "sampling",
    input: {
      required: {
        model: ["MODEL"],
        positive: ["CONDITIONING"],
        negative: ["CONDITIONING"],
        latent_image: ["LATENT"],
        seed: ["INT", { default: 42, min: 0, max: 4294967295, control_after_generate: true }],
        steps: ["INT", { default: 20 }],
        cfg: ["FLOAT", { default: 7.5 }],
        sampler_name: [["euler", "dpmpp_2m"]],
        scheduler: [["normal", "karras"]],
        denoise: ["FLOAT", { default: 1, min: 0, max: 1 }],
      },
    },
    output: ["LATENT"],
    output_name: ["LATENT"],
  },
  Decode: {
    display_name: "Decode",
    category: "latent",
    input: { required: { samples: ["LATENT"], vae: ["VAE"] } },
    output: ["IMAGE"],
    output_name: ["IMAGE"],
  },
  Scale: {
    display_name: "Scale image",
    category: "image",
    input: { required: { image: ["IMAGE"], factor: ["FLOAT", { default: 1.5 }], method: [["lanczos", "area"]] } },
    output: ["IMAGE"],
    output_name: ["IMAGE"],
  },
  Save: {
    display_name: "Save image",
    category: "image",
    output_node: true,
    input: { required: { images: ["IMAGE"], filename_prefix: ["STRING", { default: "bench" }] } },
    output: [],
  },
});

/** Type and place of each node of a group, and the links by the places in this list. */
const GROUP: readonly (readonly [string, number, number])[] = [
  ["Checkpoint", 0, 0],
  ["Prompt", 320, 0],
  ["Prompt", 320, 200],
  ["Latent", 320, 400],
  ["Sampler", 700, 0],
  ["Decode", 1020, 0],
  ["Scale", 1300, 0],
  ["Save", 1620, 0],
];
const LINKS: readonly (readonly [number, string, number, string])[] = [
  [0, "MODEL", 4, "model"],
  [0, "CLIP", 1, "clip"],
  [0, "CLIP", 2, "clip"],
  [0, "VAE", 5, "vae"],
  [1, "CONDITIONING", 4, "positive"],
  [2, "CONDITIONING", 4, "negative"],
  [3, "LATENT", 4, "latent_image"],
  [4, "LATENT", 5, "samples"],
  [5, "IMAGE", 6, "image"],
  [6, "IMAGE", 7, "images"],
];

export function benchDocument(count: number): Document {
  const nodes: Node[] = [];
  const links: Link[] = [];
  const frames: Frame[] = [];
  const across = Math.max(1, Math.round(Math.sqrt(count / GROUP.length / 2.4)));
  for (let group = 0; nodes.length < count; group++) {
    const [left, top] = [(group % across) * 2000, Math.floor(group / across) * 640];
    const base = nodes.length;
    GROUP.slice(0, count - base).forEach(([name, x, y], place) => {
      const type = BENCH_TYPES.get(name);
      if (type !== undefined) nodes.push(newNode(nodeId(base + place + 1), type, { x: left + x, y: top + y }));
    });
    for (const [from, slot, to, into] of LINKS) {
      const [a, b] = [nodes[base + from], nodes[base + to]];
      if (a === undefined || b === undefined) continue;
      links.push({ id: linkId(links.length + 1), from: { node: a.id, slot }, to: { node: b.id, slot: into }, type: slot });
    }
    // Groups feed each other, so that some links are long.
    const [before, image] = [nodes[base - 2], nodes[base + 3]];
    if (before !== undefined && image !== undefined && group % across !== 0) {
      links.push({ id: linkId(links.length + 1), from: { node: before.id, slot: "IMAGE" }, to: { node: image.id, slot: "width" }, type: "INT" });
    }
    if (group % 4 === 0) {
      frames.push({ id: frameId(frames.length + 1), title: `Group ${group + 1}`, position: { x: left + 288, y: top - 48 }, size: { width: 368, height: 600 }, color: "#4a80d0", rest: {} });
    }
  }
  const level = {
    ...emptyLevel(ROOT),
    nodes: new Map(nodes.map((each) => [each.id, each])),
    links: new Map(links.map((each) => [each.id, each])),
    frames: new Map(frames.map((each) => [each.id, each])),
  };
  return { id: "bench", levels: new Map([[ROOT, level]]), rest: {} };
}
