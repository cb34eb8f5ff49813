// What a picture, video, latent or sound file carries: its workflow if it has one, else its prompt, else parameters.

import { isObject, writeJson, type Json } from "../../json";
import type { NodeTypes } from "../../types";
import { FormatError } from "../errors";
import { isPrompt, readPrompt } from "../prompt/read";
import { parseText } from "../shape";
import { isWorkflow, readWorkflow, type Opened } from "../workflow";
import type { Texts } from "./bytes";
import { parametersToPrompt, parseParameters } from "./parameters";

export { excerpt, type Source } from "./excerpt";
export { readTexts } from "./kinds";
export { isGltf, isSvg, readGltf, readSvg } from "./models";

export type Kind = "workflow" | "prompt" | "parameters";
export interface Found extends Opened {
  readonly kind: Kind;
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
