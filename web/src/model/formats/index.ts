// Files of every kind in and out.

import type { Document, Node } from "../document";
import { isObject, writeJson, type Json, type JsonObject } from "../json";
import type { NodeTypes } from "../types";
import { toPrompt, writePrompt } from "../convert/prompt";
import { fromParameters, fromTexts, isGltf, isSvg, readGltf, readSvg, readTexts, type Found } from "./embedded";
import { FormatError } from "./errors";
import { isPrompt, readPrompt } from "./prompt/read";
import { FILE, fileOf, MAX_TEXT, parseText, tooLarge } from "./shape";
import { isWorkflow, readWorkflow, workflowJson } from "./workflow";

export { copyNodes, paste, type Pasted, type PasteOptions } from "./clipboard";
export { copiedText, foreignHtml } from "./foreign";
export { excerpt, type Kind, type Source } from "./embedded";
export { parseParameters, type Parameters } from "./embedded/parameters";
export { FormatError, type FormatCode, type Notice, type NoticeCode } from "./errors";
export { estimatedSize, laidOut } from "./prompt/layout";
export { isPrompt, readPrompt } from "./prompt/read";
export { withoutSpelling } from "./shape";
export { isControlled, NOTES, PRIMITIVE, portWidgets, REROUTE, VIRTUAL, type PortWidget } from "./workflow/layouts";
export { outputNames } from "./workflow/read_node";
export { declaredSlots, slotsOf, wiringOf, type Slots, type Wiring } from "./workflow/slots";
export { isWorkflow, readWorkflow, workflowJson, type Opened } from "./workflow";

export type FileResult = ({ readonly ok: true } & Found) | { readonly ok: false; readonly error: FormatError };

/** The document in a file of any kind: by its first bytes, for tensors and texts by its name. */
export const readFile = (bytes: Uint8Array, name: string, types: NodeTypes): FileResult =>
  attempt((): Found => {
    if (bytes.length === 0) throw new FormatError("empty", "this file is empty", "Open another copy of it.", name);
    const texts = readTexts(bytes, name);
    if (texts !== undefined) return fromTexts(texts, types);
    if (bytes.length > MAX_TEXT) throw tooLarge(bytes.length, name);
    return fromText(decoded(bytes, name), name, types);
  });

/** The document in a text: workflow or prompt JSON, or the parameters of another program. */
export const readText = (text: string, types: NodeTypes): FileResult => attempt(() => fromText(text, "", types));

function attempt(read: () => Found): FileResult {
  try {
    return { ok: true, ...read() };
  } catch (error) {
    if (error instanceof FormatError) return { ok: false, error };
    throw error;
  }
}

function decoded(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const hint = "Open a workflow as JSON, or a picture, latent or video that carries one.";
    throw new FormatError("no-workflow", "this kind of file carries no workflow", hint, name);
  }
}

function fromText(text: string, name: string, types: NodeTypes): Found {
  if (isSvg(text)) return fromTexts(readSvg(text), types);
  if (!/^[\s\ufeff]*[[{]/.test(text)) {
    if (/^\s*Steps: \d+/m.test(text)) return fromParameters(text, types);
    throw new FormatError("no-workflow", "this text is no workflow", "A workflow is JSON: it starts with a brace.", name);
  }
  const found = fromJson(parseText(text, name), types);
  if (found.kind !== "workflow") return found;
  const document = { ...found.document, rest: { ...found.document.rest, [FILE]: { ...fileOf(found.document.rest), layout: layoutOf(text) } } };
  SOURCES.set(document, text);
  return { ...found, document };
}

/** The text that a document was read from: unless it is changed it is saved as just that. */
const SOURCES = new WeakMap<Document, string>();

interface Layout {
  readonly indent: number;
  readonly end: string;
}

/** How a file breaks its lines, so that a small change makes a small difference. */
const layoutOf = (text: string): JsonObject => ({
  indent: /^\s*\{\r?\n( +)"/.exec(text.slice(0, 200))?.[1]?.length ?? 0,
  end: /\n$/.test(text) ? "\n" : "",
});

const NEW_FILE: Layout = { indent: 1, end: "" };

function fromJson(data: Json, types: NodeTypes): Found {
  if (isGltf(data)) return fromTexts(readGltf(data), types);
  if (isWorkflow(data)) return { kind: "workflow", ...readWorkflow(data, types) };
  if (isPrompt(data)) return { kind: "prompt", ...readPrompt(data, types) };
  const hint = "A workflow has a list of nodes, a prompt is an object of nodes with class_type and inputs.";
  throw new FormatError("not-a-workflow", "this JSON is neither a workflow nor a prompt", hint);
}

/** The workflow file of a document, as text: to the byte what it was read from, if nothing was changed. */
export function writeWorkflow(document: Document, types: NodeTypes): string {
  const source = SOURCES.get(document);
  if (source !== undefined) return source;
  const said = fileOf(document.rest)["layout"];
  const { indent, end } = isObject(said) ? (said as unknown as Layout) : NEW_FILE;
  return writeJson(workflowJson(document, types), indent) + end;
}

/** The prompt (API) file of a document, as text: what is sent, with texts as they are now. */
export const exportPrompt = (document: Document, types: NodeTypes): string => writePrompt(toPrompt(document, types));

/**
 * `document` with the names of values and outputs that only `types` tell, and that `before` did not: the same document
 * if there are none. What it was read from is still what is saved, as long as nothing is changed.
 */
export function withTypes(document: Document, types: NodeTypes, before: NodeTypes = new Map()): Document {
  const isNew = ({ type, unnamedValues }: Node): boolean => types.has(type) && (unnamedValues !== undefined || !before.has(type));
  if (![...document.levels.values()].some((level) => [...level.nodes.values()].some(isNew))) return document;
  const read = readWorkflow(workflowJson(document, types), types).document;
  const source = SOURCES.get(document);
  if (source !== undefined) SOURCES.set(read, source);
  return read;
}
