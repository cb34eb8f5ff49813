// What a job's prompt says of its pictures, in words that people look for: prompt, seed, model, steps, size.

import type { Json, JsonObject } from "../../model/json";
import { isArray, isObject, writeJson } from "../../model/json";
import { inputsOf, titleOf } from "../compare/diff";

export interface Fact {
  /** `prompt`, `negative`, `seed`, ...: a key of the translations `gallery.fact.*`. */
  readonly name: string;
  readonly value: string;
}

const PLAIN: readonly (readonly [string, readonly string[]])[] = [
  ["seed", ["seed", "noise_seed"]],
  ["steps", ["steps"]],
  ["cfg", ["cfg", "guidance"]],
  ["sampler", ["sampler_name"]],
  ["scheduler", ["scheduler"]],
  ["denoise", ["denoise"]],
];
const MODELS = ["ckpt_name", "unet_name", "model_name"];

/** The facts of a prompt; where nodes disagree (two samplers), all values are told. */
export function factsOf(prompt: JsonObject): Fact[] {
  const nodes = Object.values(prompt);
  const texts = [textsOf(prompt, "positive"), textsOf(prompt, "negative")];
  const facts = [
    { name: "prompt", values: texts[0] ?? [] },
    { name: "negative", values: texts[1] ?? [] },
    { name: "model", values: valuesOf(nodes, MODELS) },
    { name: "lora", values: valuesOf(nodes, ["lora_name"]) },
    ...PLAIN.map(([name, inputs]) => ({ name, values: valuesOf(nodes, inputs) })),
    { name: "size", values: sizesOf(nodes) },
  ];
  return facts.flatMap(({ name, values }) => {
    const told = [...new Set(values)].filter((value) => value !== "");
    return told.length === 0 ? [] : [{ name, value: told.join(name === "prompt" || name === "negative" ? "\n" : ", ") }];
  });
}

/** The texts that reach inputs called `input` (positive, negative), by whichever nodes. */
function textsOf(prompt: JsonObject, input: string): string[] {
  const starts = Object.values(prompt).flatMap((node) => sourceOf(inputsOf(node)[input]));
  const [open, seen, texts]: [string[], Set<string>, string[]] = [starts, new Set(), []];
  for (let id = open.shift(); id !== undefined; id = open.shift()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const inputs = inputsOf(prompt[id]);
    // A node that has both may pass either on; what it is asked for is what its own input of that name gives.
    const both = inputs["positive"] !== undefined && inputs["negative"] !== undefined;
    for (const [name, value] of Object.entries(inputs)) {
      if (typeof value === "string" && /^(text|prompt|clip_l|t5xxl)/.test(name)) texts.push(value);
      else if (!both || name === input) open.push(...sourceOf(value));
    }
  }
  return texts;
}

const sourceOf = (value: Json | undefined): string[] => (isArray(value) && value.length === 2 ? [String(value[0])] : []);

function valuesOf(nodes: readonly Json[], names: readonly string[]): string[] {
  return nodes.flatMap((node) => names.map((name) => inputsOf(node)[name]).filter(isLiteral).map(shown));
}

function sizesOf(nodes: readonly Json[]): string[] {
  return nodes.flatMap((node) => {
    const { width, height } = inputsOf(node);
    const isLatent = isObject(node) && String(node["class_type"]).includes("Latent");
    return isLatent && typeof width === "number" && typeof height === "number" ? [`${width} × ${height}`] : [];
  });
}

const isLiteral = (value: Json | undefined): value is Json => value !== undefined && !isArray(value) && !isObject(value);
const shown = (value: Json): string => (typeof value === "string" ? value : writeJson(value));

/** Every literal of a prompt, by node: what the full list shows. */
export function literalsOf(prompt: JsonObject): { readonly node: string; readonly title: string; readonly facts: Fact[] }[] {
  return Object.entries(prompt).flatMap(([id, node]) => {
    const facts = Object.entries(inputsOf(node)).flatMap(([name, value]) => (isLiteral(value) ? [{ name, value: shown(value) }] : []));
    return facts.length === 0 ? [] : [{ node: id, title: titleOf(node, id), facts }];
  });
}
