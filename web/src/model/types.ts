// Node types as the server describes them (/object_info), in a form that is easy to work with.

import type { Json, JsonObject } from "./json";
import { isArray, isObject } from "./json";
import { omit } from "./edit/omit";

export interface IntWidget {
  readonly kind: "int";
  readonly default: number | bigint;
  readonly min: number | bigint;
  readonly max: number | bigint;
  readonly step: number;
  /** The value has an after-run control (seeds). */
  readonly controlled: boolean;
}
export interface FloatWidget {
  readonly kind: "float";
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly round?: number;
}
export interface TextWidget {
  readonly kind: "text";
  readonly default: string;
  readonly multiline: boolean;
  readonly dynamicPrompts: boolean;
}
export interface SwitchWidget {
  readonly kind: "switch";
  readonly default: boolean;
}
export interface ChoiceWidget {
  readonly kind: "choice";
  readonly options: readonly Json[];
  readonly default: Json;
  /** What may be uploaded into the choice. */
  readonly upload?: "image" | "audio" | "video" | "file";
}
/** A widget that this version does not know: shown as JSON, kept as it is. */
export interface OtherWidget {
  readonly kind: "other";
  readonly default: Json;
}
export type Widget = IntWidget | FloatWidget | TextWidget | SwitchWidget | ChoiceWidget | OtherWidget;

/** An input stands for as many as are linked: the first `min` must be given, and there are no more than `parts`. */
export interface Growth {
  readonly min: number;
  readonly parts: readonly InputType[];
}

/** One choice, and the inputs that it brings, under their full names. */
export interface Variant {
  readonly key: Json;
  readonly inputs: readonly InputType[];
}

export interface InputType {
  readonly name: string;
  /** What people read, if it is not the name: `width` of `resize_type.width`. */
  readonly label?: string;
  /** `MODEL`, `*`, or a comma list that means any of these. */
  readonly type: string;
  readonly required: boolean;
  readonly widget?: Widget;
  readonly advanced: boolean;
  readonly lazy: boolean;
  readonly tooltip?: string;
  readonly options: JsonObject;
  /** Inputs and outputs of a node that name the same have one type at run time, one of those of `type`. */
  readonly match?: string;
  /** It is not given itself, its parts are: `images.image0`, `images.image1`. */
  readonly growth?: Growth;
  /** Beside the choice that is made here the inputs of the chosen variant are given: `resize_type.width`. */
  readonly variants?: readonly Variant[];
}

export interface OutputType {
  readonly name: string;
  readonly type: string;
  readonly match?: string;
  readonly isList: boolean;
  readonly tooltip?: string;
}

export interface NodeType {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly category: string;
  readonly pack: string;
  readonly inputs: readonly InputType[];
  readonly outputs: readonly OutputType[];
  readonly isOutput: boolean;
  readonly deprecated: boolean;
  readonly experimental: boolean;
}

/** What the server calls the types of such inputs. */
const GROWN = "COMFY_AUTOGROW_V3";
const VARIANT = "COMFY_DYNAMICCOMBO_V3";
const MATCHED = "COMFY_MATCHTYPE_V3";
/** More inputs of one kind than any node has; what a server says beyond that is a mistake. */
const MOST_GROWN = 1000;

export type NodeTypes = ReadonlyMap<string, NodeType>;

/** The node types in an answer of `/object_info`; entries that make no sense are left out. */
export function readNodeTypes(data: Json): NodeTypes {
  const types = new Map<string, NodeType>();
  if (isObject(data)) {
    for (const [name, entry] of Object.entries(data)) if (isObject(entry)) types.set(name, readNodeType(name, entry));
  }
  return types;
}

function readNodeType(name: string, data: JsonObject): NodeType {
  const inputs = readSections(data["input"]);
  return {
    name,
    title: text(data["display_name"]) || name,
    description: text(data["description"]),
    category: text(data["category"]),
    pack: text(data["python_module"]),
    inputs,
    outputs: readOutputs(data, inputs),
    isOutput: data["output_node"] === true,
    deprecated: data["deprecated"] === true,
    experimental: data["experimental"] === true,
  };
}

/** The inputs of a node, or those that stand under another input, whose name `owner` they begin with. */
function readSections(data: Json | undefined, owner = ""): InputType[] {
  const sections = isObject(data) ? data : {};
  return [...readInputs(sections["required"], true, owner), ...readInputs(sections["optional"], false, owner)];
}

function readInputs(section: Json | undefined, required: boolean, owner: string): InputType[] {
  if (!isObject(section)) return [];
  return Object.entries(section).flatMap(([label, config]) => {
    if (!isArray(config) || config.length === 0) return [];
    const options = isObject(config[1]) ? config[1] : {};
    const declared = config[0] ?? null;
    const name = owner + label;
    const own = readOwn(name, declared, options);
    const widget = options["forceInput"] === true ? undefined : (own.widget ?? readWidget(declared, options, name));
    const tooltip = text(options["tooltip"]);
    const input: InputType = {
      name,
      type: typeof declared === "string" ? declared : "COMBO",
      required,
      advanced: options["advanced"] === true,
      lazy: options["lazy"] === true,
      options,
      ...(owner === "" ? {} : { label }),
      ...(tooltip === "" ? {} : { tooltip }),
      ...own,
      ...(widget === undefined ? {} : { widget }),
    };
    return [input];
  });
}

/** Inputs that stand for others, and such as have the type of others. */
function readOwn(name: string, type: Json, options: JsonObject): Partial<InputType> {
  const template = isObject(options["template"]) ? options["template"] : {};
  if (type === MATCHED) return { type: text(template["allowed_types"]) || "*", match: text(template["template_id"]) };
  if (type === GROWN) return { growth: readGrowth(name, template) };
  if (type !== VARIANT) return {};
  const listed = isArray(options["options"]) ? options["options"].filter(isObject) : [];
  const variants = listed.map((one): Variant => ({ key: one["key"] ?? null, inputs: readSections(one["inputs"], `${name}.`) }));
  return { variants, widget: readChoice(variants.map(({ key }) => key), options) };
}

function readGrowth(name: string, template: JsonObject): Growth {
  const min = number(template["min"], 0);
  const [inner] = readSections(template["input"]);
  if (inner === undefined) return { min, parts: [] };
  const socket = omit(inner, "widget");
  const count = Math.min(number(template["max"], 1), MOST_GROWN);
  const labels = Array.from({ length: count }, (_one, place) => `${text(template["prefix"])}${place}`);
  return { min, parts: labels.map((label, place) => ({ ...socket, name: `${name}.${label}`, label, required: place < min })) };
}

function readWidget(type: Json, options: JsonObject, name: string): Widget | undefined {
  const fallback = options["default"] ?? null;
  if (isArray(type) || type === "COMBO") return readChoice(isArray(type) ? type : options["options"], options);
  switch (type) {
    case "INT":
      return readInt(fallback, options, name);
    case "FLOAT": {
      const round = typeof options["round"] === "number" ? { round: options["round"] } : {};
      const [min, max] = [number(options["min"], -Infinity), number(options["max"], Infinity)];
      return { kind: "float", default: number(fallback, 0), min, max, step: number(options["step"], 0.01), ...round };
    }
    case "STRING": {
      const dynamicPrompts = options["dynamicPrompts"] === true;
      return { kind: "text", default: text(fallback), multiline: options["multiline"] === true, dynamicPrompts };
    }
    case "BOOLEAN":
      return { kind: "switch", default: fallback === true };
    case "COLOR":
    case "CURVE":
      return { kind: "other", default: fallback };
    default:
      return undefined;
  }
}

function readInt(fallback: Json, options: JsonObject, name: string): IntWidget {
  const isSeed = name === "seed" || name === "noise_seed";
  return {
    kind: "int",
    default: whole(fallback, 0),
    min: whole(options["min"], -(2n ** 63n)),
    max: whole(options["max"], 2n ** 63n - 1n),
    step: number(options["step"], 1),
    controlled: isSeed || Boolean(options["control_after_generate"] ?? false),
  };
}

function readChoice(listed: Json | undefined, options: JsonObject): ChoiceWidget {
  const choices = isArray(listed) ? listed : [];
  const upload = (["image", "audio", "video", "file"] as const).find((kind) => options[`${kind}_upload`] === true);
  const fallback = options["default"] ?? choices[0] ?? null;
  return { kind: "choice", options: choices, default: fallback, ...(upload === undefined ? {} : { upload }) };
}

function readOutputs(data: JsonObject, inputs: readonly InputType[]): OutputType[] {
  const keys = ["output", "output_name", "output_is_list", "output_tooltips", "output_matchtypes"];
  const [types, names, lists, tips, matches] = keys.map((key) => (isArray(data[key]) ? data[key] : []));
  return (types ?? []).map((declared, place) => {
    const match = text(matches?.[place]);
    const type = match === "" ? (typeof declared === "string" ? declared : "COMBO") : typeOfMatch(match, inputs);
    const tooltip = text(tips?.[place]);
    const output = { name: text(names?.[place]) || type, type, isList: lists?.[place] === true };
    return { ...output, ...(match === "" ? {} : { match }), ...(tooltip === "" ? {} : { tooltip }) };
  });
}

/** An input with all that may be given in its place or beside it. */
export const withParts = (input: InputType): readonly InputType[] => [
  input,
  ...(input.growth?.parts ?? []),
  ...(input.variants ?? []).flatMap((variant) => variant.inputs.flatMap(withParts)),
];

const typeOfMatch = (match: string, inputs: readonly InputType[]): string =>
  inputs.flatMap(withParts).find((input) => input.match === match)?.type ?? "*";

/** Whether an output of one type may feed an input of another: case-blind, `*` fits all, comma lists by intersection. */
export function fits(given: string, wanted: string): boolean {
  const [left, right] = [given, wanted].map((type) => type.toUpperCase().split(",").map((part) => part.trim()));
  if (left === undefined || right === undefined) return false;
  const any = [...left, ...right].some((part) => part === "*" || part === "");
  return any || left.some((part) => right.includes(part));
}

const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");
const number = (value: Json | undefined, other: number): number => (typeof value === "number" ? value : other);
const whole = (value: Json | undefined, other: number | bigint): number | bigint =>
  typeof value === "bigint" || typeof value === "number" ? value : other;
