import { expect, test } from "vitest";
import { merged, type Words } from "./words";

const english = merged(import.meta.glob<Words>("./en/*.ts", { eager: true, import: "words" }));
const chinese = merged(import.meta.glob<Words>("./zh/*.ts", { eager: true, import: "words" }));
/** Chinese has one form where English has two. */
const base = (key: string): string => key.replace(/_(one|other)$/, "");
const keys = (words: Words): string[] => [...new Set(Object.keys(words).map(base))].sort();

test("Chinese says everything that English says, and nothing else", () => {
  expect(keys(chinese)).toEqual(keys(english));
});

test("both put the same values into their sentences", () => {
  const slots = (words: Words): Record<string, string> =>
    Object.fromEntries(Object.entries(words).filter(([key]) => !key.endsWith("_one")).map(([key, text]) => [base(key), [...text.matchAll(/{{(\w+)}}/g)].map(([, name]) => name).sort().join()]));
  const [ours, theirs] = [slots(english), slots(chinese)];
  for (const key of Object.keys(ours)) expect(`${key}: ${theirs[key]}`).toBe(`${key}: ${ours[key]}`);
});

test("no area overwrites the words of another", () => {
  const files = Object.values(import.meta.glob<Words>("./en/*.ts", { eager: true, import: "words" }));
  expect(files.flatMap(Object.keys).length).toBe(Object.keys(english).length);
});
