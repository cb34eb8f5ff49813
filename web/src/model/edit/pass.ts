// What a bypassed node passes on: for each of its outputs the input that stands in for it, as runs resolve it.

import type { Slots } from "./slots";
import { fits } from "../types";

/** Pairs of an input and the output that gives its value on; outputs that nothing fits are left out. */
export function passesOn(slots: Pick<Slots, "inputs" | "outputs">): { readonly input: string; readonly output: string }[] {
  return slots.outputs.flatMap((output, place) => {
    const opposite = slots.inputs[place];
    const fitting = slots.inputs.filter((input) => fits(input.type, output.type));
    const input = opposite !== undefined && fitting.includes(opposite) ? opposite : (fitting.find(({ type }) => type === output.type) ?? fitting[0]);
    return input === undefined ? [] : [{ input: input.name, output: output.name }];
  });
}
