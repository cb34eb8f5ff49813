import fc from "fast-check";
import { expect, test } from "vitest";
import { readInline, readMarkdown, safeAddress, type Inline } from "./markdown";

test("headings, lists, quotes, code and paragraphs are told apart", () => {
  const blocks = readMarkdown("# Title\n\nSome *text*\nmore\n- a\n- b\n\n1. x\n> q\n```\n<b>\n```\n---");
  expect(blocks.map((block) => block.kind)).toEqual(["heading", "paragraph", "list", "list", "quote", "code", "rule"]);
});

test("inline marks nest, and what is none stays text", () => {
  expect(readInline("a **b `c`** d")).toEqual([
    { kind: "text", text: "a " },
    { kind: "strong", parts: [{ kind: "text", text: "b " }, { kind: "code", text: "c" }] },
    { kind: "text", text: " d" },
  ]);
  expect(readInline("2 * 3 * <img src=x onerror=alert(1)>")[0]?.kind).toBe("text");
});

test.each(["javascript:alert(1)", "data:text/html,<script>", "vbscript:x", "//x", "file:///etc/passwd", " javascript:alert(1)"])("the address %j makes no link", (url) => {
  expect(safeAddress(url)).toBeUndefined();
  expect(readInline(`[x](${url})`).every((part) => part.kind !== "link")).toBe(true);
});

const textOf = (part: Inline): string => ("text" in part ? part.text : part.parts.map(textOf).join(""));

test("no text is lost and none hangs the reader", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", " ", "\n", "*", "_", "`", "[", "]", "(", ")", "#", ">", "-", "1.", "~") }), (text) => {
      for (const block of readMarkdown(text)) expect(block.kind).toBeDefined();
      const letters = (given: string): number => given.split("a").length;
      if (!text.includes("(")) expect(letters(readInline(text).map(textOf).join(""))).toBe(letters(text));
    }),
  );
});
