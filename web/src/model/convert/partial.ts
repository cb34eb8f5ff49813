// Part of a prompt: some outputs and all that they need.

import { isArray, isObject, type JsonObject } from "../json";

/** The nodes `targets` and their ancestors, in the order of `prompt`. Ids that it does not have are ignored. */
export function withAncestors(prompt: ReadonlyMap<string, JsonObject>, targets: Iterable<string>): Map<string, JsonObject> {
  const needed = new Set<string>();
  const open = [...targets];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const node = prompt.get(id);
    if (node === undefined || needed.has(id)) continue;
    needed.add(id);
    const inputs = isObject(node["inputs"]) ? Object.values(node["inputs"]) : [];
    for (const value of inputs) if (isArray(value) && value.length === 2 && typeof value[0] === "string") open.push(value[0]);
  }
  return new Map([...prompt].filter(([id]) => needed.has(id)));
}
