import { deflateSync } from "fflate";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_SHARED, readShareLink, writeShareLink } from "./share";

test("what a link was made of is read from it, in any script", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 2000 }), (text) => {
      const link = writeShareLink(text, "http://localhost:8188/#old");
      expect(link).toMatch(/^http:\/\/localhost:8188\/#w=[\w-]*$/);
      expect(readShareLink(new URL(link).hash)).toBe(text);
    }),
    { numRuns: 30 },
  );
});

test("an address without a workflow has none, a damaged one is refused", () => {
  expect(readShareLink("#settings")).toBeUndefined();
  expect(() => readShareLink("#w=!!!")).toThrow();
  expect(() => readShareLink("#w=AAAA")).toThrow();
});

test("a link that unfolds to too much is refused", () => {
  const bomb = deflateSync(new Uint8Array(MAX_SHARED + 10), { level: 9 });
  const text = btoa([...bomb].map((byte) => String.fromCharCode(byte)).join(""));
  expect(() => readShareLink("#w=" + text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, ""))).toThrow();
});
