import { expect, test } from "vitest";
import { passesOn } from "./pass";
import type { ShownSlot } from "./slots";

const slots = (...types: string[]): ShownSlot[] => types.map((type, place) => ({ name: `${type} ${place}`, type }) as ShownSlot);
const pairs = (inputs: string[], outputs: string[]): string[][] => passesOn({ inputs: slots(...inputs), outputs: slots(...outputs) }).map(({ input, output }) => [input, output]);

test("an output passes on the input beside it if that fits, else the first of its type", () => {
  expect(pairs(["MODEL", "CLIP"], ["MODEL", "CLIP"])).toEqual([["MODEL 0", "MODEL 0"], ["CLIP 1", "CLIP 1"]]);
  expect(pairs(["CLIP", "MODEL"], ["MODEL"])).toEqual([["MODEL 1", "MODEL 0"]]);
  expect(pairs(["*", "IMAGE"], ["LATENT", "IMAGE"])).toEqual([["* 0", "LATENT 0"], ["IMAGE 1", "IMAGE 1"]]);
});

test("an output that nothing fits passes on nothing", () => {
  expect(pairs(["CLIP"], ["CONDITIONING"])).toEqual([]);
  expect(pairs([], ["MODEL"])).toEqual([]);
});
