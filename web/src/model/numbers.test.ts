import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { afterRun, compact, evaluate, fitted, fractionOf, numberIn, randomValue, shown, stepped, type Numeric } from "./numbers";
import { parseJson, writeJson } from "./json";
import type { FloatWidget, IntWidget } from "./types";

const int = (min: Numeric, max: Numeric, step = 1): IntWidget => ({ kind: "int", default: 0, min, max, step, controlled: false });
const float = (min: number, max: number, step = 0.01, round?: number): FloatWidget => ({
  kind: "float",
  default: 0,
  min,
  max,
  step,
  ...(round === undefined ? {} : { round }),
});
const SEED = int(0, 2n ** 64n - 1n);

describe("arithmetic", () => {
  test.each<[string, Numeric | undefined]>([
    ["512*2", 1024n],
    ["  7 ", 7n],
    ["1024/3", 1024 / 3],
    ["1024/4", 256n],
    ["(3+4)*2", 14n],
    ["3+4*2", 11n],
    ["10-2-3", 5n],
    ["100/10/2", 5n],
    ["17%5", 2n],
    ["2**10", 1024n],
    ["2^10", 1024n],
    ["2**3**2", 512n],
    ["-2**2", -4n],
    ["2**-1", 0.5],
    ["--5", 5n],
    ["-(2+3)", -5n],
    [".5+.25", 0.75],
    ["1.5e3", 1500],
    ["1,5", 1.5],
    ["0xff", 255n],
    ["1_000", 1000n],
    ["3 × 4 ÷ 2 − 1", 5n],
    ["18446744073709551615", 18446744073709551615n],
    ["2**64-1", 18446744073709551615n],
    ["9007199254740993+0", 9007199254740993n],
    ["", undefined],
    ["abc", undefined],
    ["1+", undefined],
    ["(1", undefined],
    ["1)", undefined],
    ["1 2", undefined],
    ["1/0", undefined],
    ["1%0", undefined],
    ["2**99999", undefined],
    ["1,000", undefined],
    ["alert(1)", undefined],
    ["1;2", undefined],
    ["constructor", undefined],
    ["9".repeat(300), undefined],
  ])("%s is %s", (text, value) => {
    expect(evaluate(text)).toEqual(value);
  });

  test.each<[string, Numeric, Numeric | undefined]>([
    ["*2", 512, 1024n],
    ["/4", 512, 128n],
    ["+=8", 512, 520n],
    ["-=8", 512, 504n],
    ["*=1.5", 512, 768],
    ["-8", 512, -8n],
    ["**2", 512, undefined],
  ])("%s after %s is %s", (text, current, value) => {
    const result = evaluate(text, typeof current === "number" ? BigInt(current) : current);
    expect(result).toEqual(value);
  });

  test("sums, products and differences of whole numbers are exact", () => {
    const whole = fc.bigInt(-(2n ** 64n), 2n ** 64n);
    fc.assert(
      fc.property(whole, whole, whole, (a, b, c) => {
        expect(evaluate(`(${a}+${b})*${c}-${a}`)).toBe((a + b) * c - a);
      }),
    );
  });

  test("any text gives a finite number or none, and never throws", () => {
    const text = fc.string({ unit: fc.constantFrom(..."0123456789.+-*/%()^e x"), maxLength: 30 });
    fc.assert(
      fc.property(text, (typed) => {
        const value = evaluate(typed, 3);
        expect(value === undefined || typeof value === "bigint" || Number.isFinite(value)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

const ranges = fc.tuple(fc.bigInt(-(2n ** 63n), 2n ** 64n), fc.bigInt(0n, 2n ** 63n), fc.integer({ min: 1, max: 64 }));
const floats = fc.tuple(
  fc.double({ min: -100, max: 100, noNaN: true }),
  fc.double({ min: 0, max: 100, noNaN: true }),
  fc.constantFrom(0.001, 0.01, 0.05, 0.1, 0.5, 1),
  fc.constantFrom(undefined, 0.001, 0.01, 0.1),
);

describe("fitting", () => {
  test("a whole number ends inside its range, and fitting twice is fitting once", () => {
    fc.assert(
      fc.property(ranges, fc.oneof(fc.bigInt(-(2n ** 70n), 2n ** 70n), fc.double({ noNaN: true })), ([min, width], value) => {
        const widget = int(min, min + width);
        const once = fitted(value, widget);
        expect(once >= widget.min && once <= widget.max).toBe(true);
        expect(fitted(once, widget)).toEqual(once);
      }),
    );
  });

  test("a decimal number ends inside its range, and fitting twice is fitting once", () => {
    fc.assert(
      fc.property(floats, fc.double({ noNaN: true }), ([min, width, step, round], value) => {
        const widget = float(min, min + width, step, round);
        const once = fitted(value, widget);
        expect(once >= widget.min && once <= widget.max).toBe(true);
        expect(fitted(once, widget)).toBe(once);
      }),
    );
  });

  test("a whole number inside its range is kept, all 64 bits of it", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 64n - 1n), (value) => {
        expect(BigInt(fitted(value, SEED))).toBe(value);
        expect(numberIn(parseJson(writeJson(fitted(value, SEED))))).toEqual(compact(value));
      }),
    );
  });

  test.each<[number, FloatWidget, number]>([
    [0.123456, float(0, 1, 0.01, 0.01), 0.12],
    [0.123456, float(0, 1, 0.01), 0.123456],
    [7, float(0, 1), 1],
    [0.1 + 0.2, float(0, 1, 0.1, 0.1), 0.3],
  ])("%s becomes %s", (value, widget, wanted) => {
    expect(fitted(value, widget)).toBe(wanted);
  });
});

describe("steps", () => {
  test.each<[Numeric, number, IntWidget | FloatWidget, "fine" | "normal" | "coarse", Numeric]>([
    [512, 1, int(16, 16384, 8), "normal", 520],
    [512, 1, int(16, 16384, 8), "fine", 513],
    [513, 1, int(16, 16384, 8), "normal", 520],
    [513, -1, int(16, 16384, 8), "normal", 512],
    [512, 1, int(16, 16384, 8), "coarse", 592],
    [20, 3, int(1, 100), "normal", 23],
    [20, 1, int(1, 100), "coarse", 30],
    [99, 5, int(1, 100), "normal", 100],
    [18446744073709551614n, 1, SEED, "normal", 18446744073709551615n],
    [18446744073709551615n, 1, SEED, "normal", 18446744073709551615n],
    [9007199254740991, 1, SEED, "normal", 9007199254740992n],
    [0.1, 2, float(0, 1, 0.1), "normal", 0.3],
    [8, 1, float(0, 100, 0.1), "normal", 8.1],
    [8, 1, float(0, 100, 0.1), "fine", 8.01],
    [8, 1, float(0, 100, 0.1, 0.1), "fine", 8.1],
    [8, 1, float(0, 100, 0.1), "coarse", 9],
  ])("%s moved by %s steps", (value, count, widget, speed, wanted) => {
    expect(stepped(value, count, widget, speed)).toEqual(wanted);
  });

  test("on the grid a step there and back leads home", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 10, max: 100 }), fc.integer({ min: -9, max: 9 }), (step, at, count) => {
        const widget = int(0, 10000, step);
        expect(stepped(stepped(at * step, count, widget), -count, widget)).toBe(at * step);
      }),
    );
  });
});

describe("what is shown", () => {
  test.each<[Numeric, IntWidget | FloatWidget, string]>([
    [20, int(0, 100), "20"],
    [18446744073709551615n, SEED, "18446744073709551615"],
    [1, float(0, 1, 0.01), "1.00"],
    [8, float(0, 100, 0.1), "8.0"],
    [0.125, float(0, 1, 0.01), "0.125"],
    [1 / 3, float(0, 1, 0.01), "0.333333"],
    [1e-7, float(0, 1, 0.01), "1e-7"],
    [2.5, float(0, 10, 1), "2.5"],
  ])("%s is written %s", (value, widget, text) => {
    expect(shown(value, widget)).toBe(text);
  });

  test("a fraction needs a least and a most", () => {
    expect(fractionOf(5, int(0, 10))).toBe(0.5);
    expect(fractionOf(5, float(-Infinity, 10))).toBeUndefined();
  });
});

describe("after a run", () => {
  const random = (): bigint => 2n ** 64n - 1n;
  test.each([
    ["fixed", 5],
    ["increment", 6],
    ["decrement", 4],
    ["randomize", 18446744073709551615n],
  ] as const)("%s", (mode, wanted) => {
    expect(afterRun(5, mode, SEED, random)).toEqual(wanted);
  });

  test("a counter stops at its end", () => {
    expect(afterRun(0, "decrement", SEED, random)).toBe(0);
    expect(afterRun(2n ** 64n - 1n, "increment", SEED, random)).toBe(2n ** 64n - 1n);
  });

  test("a random value is inside the range", () => {
    fc.assert(
      fc.property(ranges, fc.bigInt(0n, 2n ** 64n - 1n), ([min, width], bits) => {
        const value = randomValue(int(min, min + width), () => bits);
        expect(value >= min && value <= min + width).toBe(true);
      }),
    );
  });
});

test.each([
  ["12", 12],
  ["18446744073709551615", 18446744073709551615n],
  ["1.5", 1.5],
  ["x", undefined],
  [true, undefined],
  [null, undefined],
])("the number in %s is %s", (value, wanted) => {
  expect(numberIn(value)).toEqual(wanted);
});
