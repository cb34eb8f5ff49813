// Node types with every kind of widget, and a document of them: for the tests and for the page of all widgets.

import { emptyLevel, type Document, type Link, type Node } from "../model/document";
import { linkId, nodeId, ROOT } from "../model/ids";
import { parseJson, type Json } from "../model/json";
import { readNodeTypes, type NodeTypes } from "../model/types";
import { createDocumentStore } from "../state/documents";
import { createRunsStore, type NodeError } from "../state/runs";
import { createWorkspaceStore, type Tab, type WorkspaceStore } from "../state/workspace";

const models = Array.from({ length: 5000 }, (_, place) =>
  JSON.stringify(`${place % 3 === 0 ? "" : place % 3 === 1 ? "sd15/" : "sdxl/tuned/"}model-${String(place).padStart(4, "0")}.safetensors`),
);

const OBJECT_INFO = `{
  "Sampler": {"display_name": "Sampler", "input": {"required": {
    "model": ["MODEL"],
    "seed": ["INT", {"default": 0, "min": 0, "max": 18446744073709551615, "control_after_generate": true}],
    "steps": ["INT", {"default": 20, "min": 1, "max": 10000, "tooltip": "How often noise is taken away."}],
    "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01}],
    "sampler_name": [["euler", "euler_ancestral", "dpmpp_2m", "ddim"]],
    "width": ["INT", {"default": 512, "min": 16, "max": 16384, "step": 8}],
    "denoise": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01, "display": "slider"}],
    "tiles": ["INT", {"default": 3, "min": 1, "max": 8, "display": "slider"}],
    "eta": ["FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01, "advanced": true}],
    "s_noise": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01, "advanced": true}]
  }}, "output": ["LATENT"]},
  "Text": {"display_name": "Prompt", "input": {"required": {
    "text": ["STRING", {"default": "", "multiline": true, "dynamicPrompts": true}],
    "prefix": ["STRING", {"default": "easel"}]
  }}, "output": ["CONDITIONING"]},
  "Choices": {"display_name": "Choices", "input": {"required": {
    "ckpt_name": ["COMBO", {"options": [${models.join(",")}]}],
    "vae_name": [["a.safetensors", "b.safetensors"]],
    "formats": ["COMBO", {"options": ["png", "webp", "jpeg"], "multiselect": true, "default": ["png"]}],
    "tiled": ["BOOLEAN", {"default": false}],
    "fast": ["BOOLEAN", {"default": true, "label_on": "fast", "label_off": "exact"}]
  }}, "output": ["MODEL"]},
  "Odd": {"display_name": "Odd ones", "input": {"required": {
    "tint": ["COLOR", {"default": "#3fa7d6"}],
    "curve": ["CURVE", {"default": [[0, 0], [1, 1]]}],
    "audio": [["song.flac"], {"audio_upload": true}]
  }}, "output": ["IMAGE"]},
  "Picture": {"display_name": "Load image", "input": {"required": {
    "image": [["example.png", "other.png"], {"image_upload": true}]
  }}, "output": ["IMAGE", "MASK"]},
  "Broken": {"display_name": "Errors and links", "input": {"required": {
    "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
    "sampler_name": [["euler", "ddim"]],
    "seed": ["INT", {"default": 0, "min": 0, "max": 18446744073709551615}],
    "text": ["STRING", {"default": "", "multiline": true}],
    "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01}]
  }}, "output": ["LATENT"]},
  "Number": {"display_name": "Number", "input": {"required": {"value": ["INT", {"default": 7}]}}, "output": ["INT"]}
}`;

export const SAMPLE_TYPES: NodeTypes = readNodeTypes(parseJson(OBJECT_INFO));

const node = (type: string, values: Record<string, Json>, more: Partial<Node> = {}): Node => ({
  id: nodeId(type),
  type,
  position: { x: 0, y: 0 },
  size: { width: 264, height: 200 },
  mode: "normal",
  collapsed: false,
  pinned: false,
  values,
  control: {},
  inputs: [],
  outputs: [],
  properties: {},
  rest: {},
  ...more,
});

const link = (id: number, from: [string, string], to: [string, string], type: string): Link => ({
  id: linkId(id),
  from: { node: nodeId(from[0]), slot: from[1] },
  to: { node: nodeId(to[0]), slot: to[1] },
  type,
});

const PROMPT =
  "a (lighthouse:1.15) on a cliff above a stormy sea, dusk, long exposure, embedding:good-hands, <lora:style/ink:0.8>";

export function sampleDocument(): Document {
  const nodes = [
    node("Sampler", { seed: 18446744073709551615n, denoise: 0.65, sampler_name: "dpmpp_2m" }),
    node("Text", { text: PROMPT }),
    node("Choices", { ckpt_name: "sdxl/tuned/model-0002.safetensors", vae_name: "gone.safetensors" }),
    node("Odd", {}),
    node("Picture", { image: "example.png" }),
    node("Broken", { steps: 0, sampler_name: "nope" }),
    node("Number", { value: 42 }, { title: "My seed" }),
  ];
  const links = [
    link(1, ["Number", "INT"], ["Broken", "seed"], "INT"),
    link(2, ["Text", "CONDITIONING"], ["Broken", "text"], "STRING"),
  ];
  const level = {
    ...emptyLevel(ROOT),
    nodes: new Map(nodes.map((each) => [each.id, each])),
    links: new Map(links.map((each) => [each.id, each])),
  };
  return { id: "sample", levels: new Map([[ROOT, level]]), rest: {} };
}

const SAMPLE_ERRORS: Readonly<Record<string, readonly NodeError[]>> = {
  Broken: [
    { input: "steps", message: "steps must be at least 1, but it is 0." },
    { input: "sampler_name", message: "sampler_name is not one of the choices.", details: "'nope'" },
    { input: "text", message: "text takes STRING, but a CONDITIONING is linked to it." },
  ],
};

export function sampleTab(document = sampleDocument()): Tab {
  const runs = createRunsStore();
  runs.getState().set({ errors: SAMPLE_ERRORS });
  return { id: "tab", title: "Sample", unsaved: false, document: createDocumentStore(document), runs };
}

export function sampleWorkspace(): WorkspaceStore {
  const store = createWorkspaceStore();
  store.getState().setTypes(SAMPLE_TYPES);
  return store;
}
