import { expect, test } from "vitest";
import { merged, type Words } from "./words";

const english = merged(import.meta.glob<Words>("./en/*.ts", { eager: true, import: "words" }));
const sources = import.meta.glob<string>(["../**/*.{ts,tsx}", "!../**/*.test.*", "!../i18n/**"], { eager: true, query: "?raw", import: "default" });

test("every word that is asked for by its whole name is there", () => {
  const missing = Object.entries(sources).flatMap(([file, text]) =>
    [...text.matchAll(/\bt\(\s*"([\w.-]+)"/g)]
      .map(([, key]) => key ?? "")
      .filter((key) => !(key in english) && !(`${key}_other` in english))
      .map((key) => `${file}: ${key}`),
  );
  expect(missing).toEqual([]);
});

test("every step of undo has a name", () => {
  const steps = Object.values(sources).flatMap((text) => [...text.matchAll(/"((?:view\.step|widgets\.step|step|missing|command)\.[\w.-]+)"/g)].map(([, key]) => key ?? ""));
  expect(steps.length).toBeGreaterThan(5);
  expect(steps.filter((key) => !(key in english) && !(`${key}_other` in english))).toEqual([]);
});
