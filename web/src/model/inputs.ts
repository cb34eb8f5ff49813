// The inputs that a node has: those of its type, and in the place of those that stand for others, what they stand for.

import type { Json } from "./json";
import { withParts, type InputType, type NodeType, type Variant } from "./types";

type Values = Readonly<Record<string, Json>>;

const NOTHING_LINKED: ReadonlySet<string> = new Set();

/** Whether the inputs of a node of this type depend on its values or links. */
export const isDynamic = (type: NodeType): boolean =>
  type.inputs.some((input) => input.growth !== undefined || input.variants !== undefined || input.match !== undefined);

/** The inputs of a node of `type` with these values, of which those in `linked` have a link. */
export function inputsOf(type: NodeType, values: Values, linked: ReadonlySet<string> = NOTHING_LINKED): readonly InputType[] {
  return isDynamic(type) ? type.inputs.flatMap((input) => given(input, values, linked)) : type.inputs;
}

function given(input: InputType, values: Values, linked: ReadonlySet<string>): readonly InputType[] {
  if (input.growth !== undefined) return input.growth.parts.slice(0, grown(input, linked));
  const chosen = chosenOf(input, values)?.inputs ?? [];
  return [input, ...chosen.flatMap((each) => given(each, values, linked))];
}

/** How many of its parts an input shows: one more than are linked, and none is left out before a linked one. */
function grown({ growth }: InputType, linked: ReadonlySet<string>): number {
  const parts = growth?.parts ?? [];
  const taken = parts.flatMap(({ name }, place) => (linked.has(name) ? [place] : []));
  const wanted = Math.max(taken.length, taken.at(-1) ?? 0) + 1;
  return Math.min(parts.length, Math.max(growth?.min ?? 0, wanted));
}

/** The variant that is chosen; undefined if the value is none that the type knows. */
export function chosenOf(input: InputType, values: Values): Variant | undefined {
  const value = Object.hasOwn(values, input.name) ? values[input.name] : input.widget?.default;
  return input.variants?.find(({ key }) => key === value);
}

/** The input that `name` stands under, if one does: `images` for `images.image0`. */
export const ownerOf = (type: NodeType, name: string): InputType | undefined =>
  type.inputs.find((input) => (input.growth ?? input.variants) !== undefined && name.startsWith(`${input.name}.`));

/** All inputs that a node of the type may have at some time or another. */
export const everyInput = (type: NodeType): readonly InputType[] =>
  type.inputs.flatMap(withParts).filter((input) => input.growth === undefined);

/** The input called `name`: of two variants with such a one that of the chosen variant. */
export function inputNamed(type: NodeType | undefined, name: string, values: Values = {}): InputType | undefined {
  if (type === undefined) return undefined;
  const found = inputsOf(type, values).find((input) => input.name === name);
  return found ?? (ownerOf(type, name) === undefined ? undefined : everyInput(type).find((input) => input.name === name));
}

/** The inputs of a node that others stand for, or that bring others. */
export function standingIn(type: NodeType, values: Values): readonly InputType[] {
  const inside = (inputs: readonly InputType[]): InputType[] =>
    inputs.flatMap((input) => {
      if (input.growth !== undefined) return [input];
      return input.variants === undefined ? [] : [input, ...inside(chosenOf(input, values)?.inputs ?? [])];
    });
  return inside(type.inputs);
}
