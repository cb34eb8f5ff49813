// The community's error objects (`error`, `node_errors`) as values.

import type { Json, JsonObject } from "../model/json";
import { isArray, isObject } from "../model/json";
import type { Expected, Fault, Faults, NodeFaults } from "./errors";

/** The `node_errors` of an answer, also of a 200 answer; what makes no sense is left out. */
export function readFaults(data: Json | undefined): Faults {
  if (!isObject(data)) return {};
  const entries = Object.entries(data).flatMap(([node, entry]): [string, NodeFaults][] => {
    if (!isObject(entry)) return [];
    const errors = isArray(entry["errors"]) ? entry["errors"] : [];
    const outputs = isArray(entry["dependent_outputs"]) ? entry["dependent_outputs"] : [];
    const faults = errors.filter(isObject).map(readFault);
    return [[node, { type: text(entry["class_type"]), faults, outputs: outputs.map(String) }]];
  });
  return Object.fromEntries(entries);
}

function readFault(error: JsonObject): Fault {
  const extra = isObject(error["extra_info"]) ? error["extra_info"] : {};
  const [input, hint] = [text(extra["input_name"]), text(extra["hint"])];
  const expected = readExpected(extra["input_config"]);
  return {
    type: text(error["type"]),
    message: text(error["message"]),
    details: text(error["details"]),
    ...(input === "" ? {} : { input }),
    ...(extra["received_value"] === undefined ? {} : { received: extra["received_value"] }),
    ...(expected === undefined ? {} : { expected }),
    ...(hint === "" ? {} : { hint }),
  };
}

/** What an `input_config` (`[type, options]`) allows. */
export function readExpected(config: Json | undefined): Expected | undefined {
  if (!isArray(config) || config.length === 0) return undefined;
  const [type, options] = [config[0] ?? null, isObject(config[1]) ? config[1] : {}];
  const listed = isArray(type) ? type : options["options"];
  const [min, max] = [number(options["min"]), number(options["max"])];
  return {
    type: typeof type === "string" ? type : "COMBO",
    ...(isArray(listed) ? { choices: listed } : {}),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
  };
}

const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");
const number = (value: Json | undefined): number | bigint | undefined =>
  typeof value === "number" || typeof value === "bigint" ? value : undefined;
