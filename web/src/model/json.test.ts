import fc from "fast-check";
import { expect, test } from "vitest";
import { JsonError, parseJson, spelledAs, writeJson, type Json, type JsonObject } from "./json";

test("a seed of 64 bits is read and written to the last digit", () => {
  const text = '{"seed":18446744073709551615,"small":7,"float":1.5}';
  expect(writeJson(parseJson(text))).toBe(text);
});

test("a number is written as it was read, as long as it is the same", () => {
  const text = '{"cfg":4.0,"list":[1.50,1e-3,-0.0,20],"deep":[[2.0]]}';
  const read = parseJson(text) as JsonObject;
  expect(writeJson(read)).toBe(text);
  const list = read["list"] as readonly Json[];
  expect(writeJson(spelledAs(list, [1.5, 7, -0, 20]))).toBe("[1.50,7,-0.0,20]");
  expect(writeJson([1.5, 0.001])).toBe("[1.5,0.001]");
});

/** As JSON.parse would have read it: doubles only. */
const rounded = (value: Json): unknown => {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return (value as readonly Json[]).map(rounded);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value as JsonObject).map(([key, item]) => [key, rounded(item)]));
};

test("what JSON.parse reads is read alike", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const text = JSON.stringify(value);
      expect(rounded(parseJson(text))).toEqual(JSON.parse(text));
      expect(rounded(parseJson(writeJson(value as Json, 2)))).toEqual(JSON.parse(text));
    }),
  );
});

test("numbers that Python writes and JSON lacks become null", () => {
  expect(parseJson("[NaN, Infinity, -Infinity, 1e999]")).toEqual([null, null, null, null]);
});

test.each(["", "{", "[1,]", '{"a" 1}', "'a'", "[1 2]", '"\u0001"', "01", "[".repeat(100), "1 2"])("%j is refused", (text) => {
  expect(() => parseJson(text)).toThrow(JsonError);
});

test("an error names line and column", () => {
  expect(() => parseJson('{\n  "a": ?\n}')).toThrow(/line 2, column 8/);
});
