import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyEdit, completed, completionAt, ranked, weigh } from "./prompt-text";

/** A text with its selection: `|` is the caret, `[` and `]` the ends. */
function read(marked: string): [string, number, number] {
  const caret = marked.indexOf("|");
  if (caret >= 0) return [marked.replace("|", ""), caret, caret];
  const [start, end] = [marked.indexOf("["), marked.indexOf("]") - 1];
  return [marked.replace("[", "").replace("]", ""), start, end];
}

function write(text: string, start: number, end: number): string {
  if (start === end) return `${text.slice(0, start)}|${text.slice(start)}`;
  return `${text.slice(0, start)}[${text.slice(start, end)}]${text.slice(end)}`;
}

function weighed(marked: string, delta: number): string {
  const [text, start, end] = read(marked);
  const edit = weigh(text, start, end, delta);
  return edit === undefined ? marked : write(applyEdit(text, edit), edit.start, edit.end);
}

describe("weights", () => {
  test.each([
    ["a c|at", 0.05, "a (c|at:1.05)"],
    ["a cat|", 0.05, "a (cat|:1.05)"],
    ["a (c|at:1.05)", 0.05, "a (c|at:1.1)"],
    ["a (c|at:1.05)", -0.05, "a c|at"],
    ["a c|at", -0.05, "a (c|at:0.95)"],
    ["[a cat], dog", 0.1, "([a cat]:1.1), dog"],
    ["([a cat]:1.1), dog", 0.1, "([a cat]:1.2), dog"],
    ["[(a cat:1.1)], dog", 0.1, "([a cat]:1.2), dog"],
    ["[a cat ]dog", 0.05, "([a cat]:1.05) dog"],
    ["(big| cat)", 0.05, "(big| cat:1.15)"],
    ["((cat|:1.2) dog:1.3)", 0.05, "((cat|:1.25) dog:1.3)"],
    ["((cat:1.2) do|g:1.3)", 0.05, "((cat:1.2) do|g:1.35)"],
    ["\\(c|at\\)", 0.05, "(\\(c|at\\):1.05)"],
    ["c|at.", 0.05, "(c|at:1.05)."],
    ["embedding:go|od, x", 0.05, "(embedding:go|od:1.05), x"],
    ["<lora:det|ail:0.8>", 0.05, "<lora:det|ail:0.85>"],
    ["<lora:det|ail>", -0.05, "<lora:det|ail:0.95>"],
    ["(x|:0)", -0.05, "(x|:0)"],
    [" | ", 0.05, " | "],
    ["a,|,b", 0.05, "a,|,b"],
  ])("%s by %s is %s", (marked, delta, wanted) => {
    expect(weighed(marked, delta)).toBe(wanted);
  });

  test("as many steps down as up lead back to the same text and selection", () => {
    const words = fc.stringMatching(/^[a-z]+( [a-z]+){0,3}$/);
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 15 }), (text, count) => {
        let marked = `[${text}]`;
        for (let step = 0; step < count; step++) marked = weighed(marked, 0.05);
        for (let step = 0; step < count; step++) marked = weighed(marked, -0.05);
        expect(marked).toBe(`[${text}]`);
      }),
    );
  });

  test("any text and selection are taken, and nothing outside the edit changes", () => {
    const text = fc.string({ unit: fc.constantFrom(..."ab ,()\\:1.<lora>"), maxLength: 30 });
    fc.assert(
      fc.property(text, fc.nat(30), fc.nat(30), (typed, one, other) => {
        const [start, end] = [Math.min(one, other, typed.length), Math.min(Math.max(one, other), typed.length)];
        const edit = weigh(typed, start, end, 0.05);
        if (edit === undefined) return;
        const after = applyEdit(typed, edit);
        expect(after.length).toBe(typed.length - (edit.to - edit.from) + edit.insert.length);
        expect(edit.start >= 0 && edit.start <= edit.end && edit.end <= after.length).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe("completion", () => {
  test.each([
    ["a embedding:go|", "embedding", "go"],
    ["embedding:|", "embedding", ""],
    ["(embedding:neg|:1.2)", "embedding", "neg"],
    ["<lora:de|", "lora", "de"],
    ["x <lora:style/de|>", "lora", "style/de"],
    ["<lora:detail:0.|", undefined, ""],
    ["plain wo|", undefined, ""],
    ["notembedding:x|", undefined, ""],
  ])("%s", (marked, kind, query) => {
    const [text, caret] = read(marked);
    const found = completionAt(text, caret);
    expect(found?.kind).toBe(kind);
    if (found !== undefined) expect(found.query).toBe(query);
  });

  test.each([
    ["a embedding:go|, b", "good", "a embedding:good|, b"],
    ["<lora:de|", "style/detail", "<lora:style/detail:1>|"],
    ["<lora:de|>", "detail", "<lora:detail|>"],
  ])("%s takes %s", (marked, name, wanted) => {
    const [text, caret] = read(marked);
    const found = completionAt(text, caret);
    if (found === undefined) throw new Error("nothing to complete");
    const edit = completed(text, found, name);
    expect(write(applyEdit(text, edit), edit.start, edit.end)).toBe(wanted);
  });

  test("names that start with what is written come first", () => {
    expect(ranked(["xde", "style/detail", "detail", "other"], "de")).toEqual(["detail", "style/detail", "xde"]);
  });
});
