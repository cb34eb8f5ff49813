// What a picture, video, latent or sound file carries: its workflow if it has one, else its prompt, else parameters.

import { isObject, writeJson, type Json } from "../../json";
import type { NodeTypes } from "../../types";
import { FormatError } from "../errors";
import { isPrompt, readPrompt } from "../prompt/read";
import { parseText } from "../shape";
import { isWorkflow, readWorkflow, type Opened } from "../workflow";
import type { Texts } from "./bytes";
import { isJpeg, isWebp, readJpeg, readWebp } from "./exif";
import { isFlac, isMp4, isWebm, readFlac, readMp4, readSafetensors, readWebm } from "./media";
import { parametersToPrompt, parseParameters } from "./parameters";
import { isPng, readPng } from "./png";

export type Kind = "workflow" | "prompt" | "parameters";
export interface Found extends Opened {
  readonly kind: Kind;
}

const TENSORS = /\.(latent|safetensors|sft)$/i;
const READERS: readonly (readonly [(data: Uint8Array) => boolean, (data: Uint8Array) => Texts])[] = [
  [isPng, readPng],
  [isWebp, readWebp],
  [isJpeg, readJpeg],
  [isMp4, readMp4],
  [isWebm, readWebm],
  [isFlac, readFlac],
];

/** The texts in a file, undefined if it is of no kind that carries any. */
export function readTexts(data: Uint8Array, name: string): Texts | undefined {
  const reader = READERS.find(([is]) => is(data));
  if (reader !== undefined) return reader[1](data);
  return TENSORS.test(name) ? readSafetensors(data) : undefined;
}

/** The document that the texts of a file stand for. */
export function fromTexts(texts: Texts, types: NodeTypes): Found {
  const parts = new Map([...texts].map(([key, text]) => [key.toLowerCase(), text]));
  spreadComment(parts);
  let damage: FormatError | undefined;
  for (const kind of ["workflow", "prompt"] as const) {
    const text = parts.get(kind);
    if (text === undefined) continue;
    try {
      const data = parseText(text, kind);
      if (kind === "workflow" && isWorkflow(data)) return { kind, ...readWorkflow(data, types) };
      if (kind === "prompt" && isPrompt(data)) return { kind, ...readPrompt(data, types) };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      damage ??= error;
    }
  }
  const parameters = parts.get("parameters");
  if (parameters !== undefined && parameters.trim() !== "") return fromParameters(parameters, types);
  throw damage ?? new FormatError("no-workflow", "this file carries no workflow", "Programs that edit pictures often remove it: use the original file.");
}

export function fromParameters(text: string, types: NodeTypes): Found {
  const { prompt, notices } = parametersToPrompt(parseParameters(text), types);
  const opened = readPrompt(prompt, types);
  return { kind: "parameters", document: opened.document, notices: [...notices, ...opened.notices] };
}

/** Some programs write one comment that holds everything as JSON. */
function spreadComment(parts: Map<string, string>): void {
  const comment = parts.get("comment") ?? parts.get("description");
  if (comment === undefined || parts.has("workflow") || parts.has("prompt")) return;
  let data: Json;
  try {
    data = parseText(comment);
  } catch (error) {
    if (error instanceof FormatError) return;
    throw error;
  }
  for (const kind of ["workflow", "prompt"]) {
    const value = isObject(data) ? data[kind] : undefined;
    if (typeof value === "string") parts.set(kind, value);
    else if (value !== undefined) parts.set(kind, writeJson(value));
  }
}
