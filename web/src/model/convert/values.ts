// The values of a node's widgets as they would be sent: saved ones, else defaults.

import type { Document, Node } from "../document";
import { levelId } from "../ids";
import { isArray, isObject, type Json } from "../json";
import { layoutOf } from "../formats/workflow/layouts";
import { named } from "../formats/workflow/read_node";
import { MODES, NAMED } from "../formats/workflow/values";
import { objectOf, saidName } from "../formats/shape";
import { inputsOf } from "../inputs";
import type { NodeTypes } from "../types";

export function valuesOf(node: Node, document: Document, types: NodeTypes): Map<string, Json> {
  const type = document.levels.has(levelId(node.type)) ? undefined : types.get(node.type);
  if (type === undefined) return valuesOfUnknown(node);
  const saved = node.unnamedValues === undefined ? node : named(node, layoutOf(node, document.levels, types));
  const values = new Map<string, Json>();
  const inputs = inputsOf(type, saved.values);
  const fields = new Set(inputs.flatMap(({ name, widget }) => (widget === undefined ? [] : [name])));
  // A type that declares no input takes whatever there is.
  const takes = (name: string): boolean => fields.has(name) || inputs.length === 0;
  for (const [name, value] of Object.entries(saved.values)) if (value !== null && takes(name)) values.set(name, value);
  for (const input of inputs) {
    if (input.widget === undefined || values.has(input.name) || input.widget.default === null) continue;
    values.set(input.name, input.widget.default);
  }
  return values;
}

/** Of a node of unknown type whatever the file itself gives a name to. */
function valuesOfUnknown(node: Node): Map<string, Json> {
  const saved = node.unnamedValues;
  const values = new Map<string, Json>();
  if (isArray(saved)) {
    const names = node.inputs.filter((slot) => slot.widget === true).map(saidName);
    const own = saved.filter((value, place) => !isControl(value, saved[place - 1]));
    if (names.length === own.length) names.forEach((name, place) => values.set(name, own[place] ?? null));
  }
  const byName = [isObject(saved) ? saved : {}, objectOf(node.rest[NAMED]), node.values];
  for (const [name, value] of byName.flatMap((entries) => Object.entries(entries))) values.set(name, value);
  return values;
}

const isControl = (value: Json, before: Json | undefined): boolean =>
  typeof value === "string" && MODES.has(value) && (Number.isInteger(before) || ["bigint", "boolean"].includes(typeof before));
