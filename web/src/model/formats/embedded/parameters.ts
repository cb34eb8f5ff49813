// The `parameters` text of A1111 and its relatives, as the prompt of a text-to-image workflow.

import type { Json, JsonObject } from "../../json";
import type { NodeTypes } from "../../types";
import { FormatError, type Notice } from "../errors";

export interface Parameters {
  readonly positive: string;
  readonly negative: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly loras: readonly { readonly name: string; readonly strength: number }[];
}

const NEGATIVE = "Negative prompt:";
const SETTING = /\s*([^:,]+?):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)/gy;
const LORA = /<lora:([^:<>]+)(?::(-?[\d.]+))?[^<>]*>/g;
const UNDERSTOOD: ReadonlySet<string> = new Set([
  "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model", "Model hash", "Clip skip", "Version",
]);

/** The parts of the text: the prompt, the negative prompt, and `Key: value` pairs in the last line. */
export function parseParameters(text: string): Parameters {
  const lines = text.replaceAll("\r\n", "\n").trim().split("\n");
  const place = lines.findLastIndex((line) => /^\s*Steps: \d+/.test(line));
  if (place < 0) {
    throw new FormatError("no-workflow", "the text in this file is no generation parameters", "They hold a line that starts with Steps.", "parameters");
  }
  const settings = new Map<string, string>();
  for (const [, key, value] of lines.slice(place).join(" ").matchAll(SETTING)) {
    if (key !== undefined && value !== undefined) settings.set(key.trim(), unquoted(value.trim()));
  }
  const said = lines.slice(0, place);
  const turn = said.findIndex((line) => line.startsWith(NEGATIVE));
  const positive = (turn < 0 ? said : said.slice(0, turn)).join("\n");
  const negative = turn < 0 ? "" : said.slice(turn).join("\n").slice(NEGATIVE.length);
  const loras = [...positive.matchAll(LORA)].map(([, name, strength]) => ({ name: name ?? "", strength: numberOf(strength, 1) }));
  return { positive: positive.replace(LORA, "").trim(), negative: negative.trim(), settings, loras };
}

const unquoted = (value: string): string => (value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value);

function numberOf(text: string | undefined, otherwise: number): number {
  const value = Number(text);
  return text === undefined || text === "" || !Number.isFinite(value) ? otherwise : value;
}

const SAMPLERS: Readonly<Record<string, string>> = {
  "euler a": "euler_ancestral", euler: "euler", lms: "lms", heun: "heun", dpm2: "dpm_2", "dpm2 a": "dpm_2_ancestral",
  "dpm++ 2s a": "dpmpp_2s_ancestral", "dpm++ 2m": "dpmpp_2m", "dpm++ sde": "dpmpp_sde", "dpm++ 2m sde": "dpmpp_2m_sde",
  "dpm++ 3m sde": "dpmpp_3m_sde", "dpm fast": "dpm_fast", "dpm adaptive": "dpm_adaptive", ddim: "ddim", unipc: "uni_pc",
  lcm: "lcm", restart: "heun", plms: "ipndm",
};
const SCHEDULES: Readonly<Record<string, string>> = {
  karras: "karras", exponential: "exponential", "sgm uniform": "sgm_uniform", simple: "simple", normal: "normal",
  uniform: "normal", automatic: "normal", ddim: "ddim_uniform", beta: "beta", "kl optimal": "kl_optimal",
};

/** The prompt (API format) of a text-to-image workflow with these parameters. */
export function parametersToPrompt(parameters: Parameters, types: NodeTypes): { prompt: JsonObject; notices: Notice[] } {
  const { settings } = parameters;
  const [sampler, scheduler] = samplerOf(settings.get("Sampler") ?? "", settings.get("Schedule type") ?? "");
  const [width, height] = (settings.get("Size") ?? "512x512").split("x").map((part) => Math.round(numberOf(part, 512)));
  const nodes: [string, string, JsonObject][] = [
    ["4", "CheckpointLoaderSimple", { ckpt_name: fileFor(settings.get("Model") ?? "", "CheckpointLoaderSimple", "ckpt_name", types) }],
  ];
  let [model, clip]: [Json, Json] = [["4", 0], ["4", 1]];
  for (const [number, { name, strength }] of parameters.loras.entries()) {
    const id = String(20 + number);
    const file = fileFor(name, "LoraLoader", "lora_name", types);
    nodes.push([id, "LoraLoader", { lora_name: file, strength_model: strength, strength_clip: strength, model, clip }]);
    [model, clip] = [[id, 0], [id, 1]];
  }
  const skip = Math.round(numberOf(settings.get("Clip skip"), 1));
  if (skip > 1) {
    nodes.push(["10", "CLIPSetLastLayer", { stop_at_clip_layer: -skip, clip }]);
    clip = ["10", 0];
  }
  const [steps, cfg] = [Math.round(numberOf(settings.get("Steps"), 20)), numberOf(settings.get("CFG scale"), 7)];
  const ends = { model, positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] };
  nodes.push(
    ["5", "EmptyLatentImage", { width: width ?? 512, height: height ?? 512, batch_size: 1 }],
    ["6", "CLIPTextEncode", { text: parameters.positive, clip }],
    ["7", "CLIPTextEncode", { text: parameters.negative, clip }],
    ["3", "KSampler", { seed: seedOf(settings.get("Seed")), steps, cfg, sampler_name: sampler, scheduler, denoise: 1, ...ends }],
    ["8", "VAEDecode", { samples: ["3", 0], vae: ["4", 2] }],
    ["9", "SaveImage", { filename_prefix: "image", images: ["8", 0] }],
  );
  const titles: Readonly<Record<string, string>> = { 6: "Prompt", 7: "Negative prompt" };
  const prompt = Object.fromEntries(nodes.map(([id, type, inputs]): [string, Json] => {
    return [id, { class_type: type, inputs, ...(titles[id] === undefined ? {} : { _meta: { title: titles[id] } }) }];
  }));
  return { prompt, notices: notUnderstood(settings) };
}

function seedOf(text: string | undefined): Json {
  if (text === undefined || !/^\d{1,19}$/.test(text)) return 0;
  const seed = BigInt(text);
  return seed > BigInt(Number.MAX_SAFE_INTEGER) ? seed : Number(seed);
}

function samplerOf(said: string, schedule: string): [string, string] {
  let name = said.trim().toLowerCase();
  let scheduler = SCHEDULES[schedule.trim().toLowerCase()];
  for (const [suffix, known] of Object.entries(SCHEDULES)) {
    if (!name.endsWith(` ${suffix}`)) continue;
    name = name.slice(0, -suffix.length - 1);
    scheduler ??= known;
  }
  return [Object.hasOwn(SAMPLERS, name) ? (SAMPLERS[name] ?? "euler") : "euler", scheduler ?? "normal"];
}

/** The file on this machine that has this name, whatever its folder and suffix; else the name itself. */
function fileFor(name: string, type: string, input: string, types: NodeTypes): string {
  const widget = types.get(type)?.inputs.find((item) => item.name === input)?.widget;
  const bare = (path: string): string => (path.split(/[\\/]/).at(-1) ?? path).replace(/\.(safetensors|ckpt|pt|pth|sft)$/i, "").toLowerCase();
  const files = widget?.kind === "choice" ? widget.options.filter((option) => typeof option === "string") : [];
  return files.find((file) => bare(file) === bare(name)) ?? (name === "" ? (files[0] ?? "") : `${name}.safetensors`);
}

function notUnderstood(settings: ReadonlyMap<string, string>): Notice[] {
  const others = [...settings.keys()].filter((key) => !UNDERSTOOD.has(key));
  if (others.length === 0) return [];
  return [{ code: "settings-not-understood", message: `not taken over: ${others.join(", ")}` }];
}
