// What becomes of seeds and other numbers after they were sent, as one change that can be undone.

import { all, type Change } from "../changes";
import type { AfterRun, Document, Level, Node } from "../document";
import type { Json } from "../json";
import { isControlled, PRIMITIVE, portWidgets } from "../formats/workflow/layouts";
import { wiringOf } from "../formats/workflow/slots";
import { levelId } from "../ids";
import { inputNamed } from "../inputs";
import type { InputType, IntWidget, NodeTypes } from "../types";
import { same } from "../formats/shape";
import type { Random } from "./text";

/** The change that the controls of unlinked widgets make, undefined if none does anything. */
export function afterRun(document: Document, types: NodeTypes, random: Random): Change | undefined {
  const changes = [...document.levels.values()].flatMap((level) =>
    [...level.nodes.values()].flatMap((node): Change[] => {
      const values = nextValues(document, level, node, types, random);
      return values === undefined ? [] : [{ kind: "patch-node", level: level.id, id: node.id, patch: { values } }];
    }),
  );
  return changes.length === 0 ? undefined : all(...changes);
}

function nextValues(document: Document, level: Level, node: Node, types: NodeTypes, random: Random): Node["values"] | undefined {
  if (node.mode !== "normal") return undefined;
  const into = wiringOf(level).into.get(node.id);
  const next = Object.entries(node.control).flatMap(([name, mode]): [string, Json][] => {
    if (mode === "fixed" || into?.has(name) === true) return [];
    const input = inputOf(document, level, node, name, types);
    const now = node.values[name] ?? input?.widget?.default ?? null;
    const value = stepped(now, mode, input, random);
    return same(value, now) ? [] : [[name, value]];
  });
  return next.length === 0 ? undefined : { ...node.values, ...Object.fromEntries(next) };
}

/** The definition of a controlled input: of the node's type, of what an instance promotes, of what a primitive feeds. */
function inputOf(document: Document, level: Level, node: Node, name: string, types: NodeTypes): InputType | undefined {
  if (node.type === PRIMITIVE) {
    const [first] = [...(wiringOf(level).outOf.get(node.id)?.values() ?? [])].flat();
    const target = first === undefined ? undefined : level.nodes.get(first.to.node);
    return inputNamed(types.get(target?.type ?? ""), first?.to.slot ?? "", target?.values);
  }
  const promoted = portWidgets(document.levels, levelId(node.type), types).get(name);
  if (promoted !== undefined) return promoted === "unknown" ? undefined : promoted;
  const input = inputNamed(types.get(node.type), name, node.values);
  return input !== undefined && isControlled(input) ? input : undefined;
}

const NUMBERS: Pick<IntWidget, "min" | "max" | "step"> = { min: 0, max: 2n ** 53n - 1n, step: 1 };

/** The value that follows `now`. Without a definition a number stays what programs can count exactly. */
export function stepped(now: Json, mode: AfterRun, input: InputType | undefined, random: Random): Json {
  const widget = input?.widget;
  if (widget?.kind === "choice") return steppedChoice(now, mode, widget.options, random);
  const isWhole = typeof now === "bigint" || (typeof now === "number" && Number.isInteger(now));
  if (!isWhole) return now;
  const { min, max, step } = widget?.kind === "int" ? widget : NUMBERS;
  return wholeNumber(steppedWhole(BigInt(now), mode, BigInt(min), BigInt(max), BigInt(Math.max(1, Math.round(step))), random));
}

function steppedWhole(now: bigint, mode: AfterRun, min: bigint, max: bigint, step: bigint, random: Random): bigint {
  const clamped = (value: bigint): bigint => (value < min ? min : value > max ? max : value);
  if (mode === "increment") return clamped(now + step);
  if (mode === "decrement") return clamped(now - step);
  if (mode === "fixed" || max < min) return now;
  return min + below((max - min) / step + 1n, random) * step;
}

/** A random whole number from 0 up to `limit`, without `limit`. */
function below(limit: bigint, random: Random): bigint {
  // 96 bits for ranges of up to 64: the bias is too small to matter.
  let bits = 0n;
  for (let count = 0; count < 3; count++) bits = (bits << 32n) | BigInt(Math.floor(random() * 2 ** 32));
  return bits % limit;
}

const wholeNumber = (value: bigint): Json => (BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value);

function steppedChoice(now: Json, mode: AfterRun, options: readonly Json[], random: Random): Json {
  const place = options.findIndex((option) => same(option, now));
  const last = options.length - 1;
  if (last < 0 || mode === "fixed") return now;
  if (mode === "randomize") return options[Math.min(Math.floor(random() * options.length), last)] ?? now;
  return options[Math.min(Math.max(place + (mode === "increment" ? 1 : -1), 0), last)] ?? now;
}
