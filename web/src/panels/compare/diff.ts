// What changed between two prompts, by node and input: the answer to "why does this picture look different".

import type { Json, JsonObject } from "../../model/json";
import { isArray, isObject, writeJson } from "../../model/json";

export interface InputChange {
  readonly input: string;
  /** As text; undefined where there was nothing. */
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly kind: "value" | "link";
}

export interface NodeChange {
  readonly node: string;
  readonly title: string;
  readonly kind: "added" | "removed" | "changed";
  readonly inputs: readonly InputChange[];
}

export function diffPrompts(before: JsonObject, after: JsonObject): NodeChange[] {
  const ids = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return ids.flatMap((node): NodeChange[] => {
    const [old, now] = [before[node], after[node]];
    const title = titleOf(now ?? old, node);
    if (old === undefined) return [{ node, title, kind: "added", inputs: [] }];
    if (now === undefined) return [{ node, title, kind: "removed", inputs: [] }];
    const inputs = diffInputs(inputsOf(old), inputsOf(now));
    const types = [old, now].map(typeOf);
    const type = types[0] === types[1] ? [] : [{ input: "", before: types[0], after: types[1], kind: "value" } as const];
    return inputs.length + type.length === 0 ? [] : [{ node, title, kind: "changed", inputs: [...type, ...inputs] }];
  });
}

function diffInputs(before: JsonObject, after: JsonObject): InputChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.flatMap((input): InputChange[] => {
    const [old, now] = [before[input], after[input]].map(shown);
    if (old === now) return [];
    const kind = isLink(before[input]) || isLink(after[input]) ? "link" : "value";
    return [{ input, before: old, after: now, kind }];
  });
}

export const titleOf = (node: Json | undefined, id: string): string => {
  if (!isObject(node)) return id;
  const meta = isObject(node["_meta"]) ? node["_meta"]["title"] : undefined;
  return typeof meta === "string" && meta !== "" ? meta : typeOf(node) || id;
};

export const inputsOf = (node: Json | undefined): JsonObject =>
  isObject(node) && isObject(node["inputs"]) ? node["inputs"] : {};

const typeOf = (node: Json): string =>
  isObject(node) && typeof node["class_type"] === "string" ? node["class_type"] : "";

export const isLink = (value: Json | undefined): boolean => isArray(value) && value.length === 2;

function shown(value: Json | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (isArray(value) && value.length === 2) return `${String(value[0])} → ${String(value[1])}`;
  return typeof value === "string" ? value : writeJson(value);
}
