// The laws of number widgets: clamping, rounding, steps, what is shown, and what follows a run. Whole numbers may have
// 64 bits; they are computed as bigint and stored as a number where a double holds them exactly.

import type { Numeric } from "./arithmetic";
import type { AfterRun } from "./document";
import type { Json } from "./json";
import type { FloatWidget, IntWidget } from "./types";

export type { Numeric } from "./arithmetic";
export { evaluate } from "./arithmetic";
export type NumberWidget = IntWidget | FloatWidget;
/** How far one step goes: with Shift, without a key, with Ctrl. */
export type Speed = "fine" | "normal" | "coarse";

const COARSE = 10;
const LEAST = -(2n ** 63n);

/** A whole number as documents hold it: bigint only where a double would round. */
export const compact = (value: bigint): Numeric => {
  const double = Number(value);
  return Number.isSafeInteger(double) ? double : value;
};

/** The number in a stored value; texts of digits count, since the server takes them too. */
export function numberIn(value: Json): Numeric | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "string" || !/^\s*-?\d+(\.\d+)?([eE][+-]?\d+)?\s*$/.test(value)) return undefined;
  return /^\s*-?\d+\s*$/.test(value) ? compact(BigInt(value)) : Number(value);
}

/** `value` made to fit: whole or rounded, between the least and the most. Fitting twice changes nothing. */
export function fitted(value: Numeric, widget: NumberWidget): Numeric {
  if (widget.kind === "int") return compact(clampedWhole(whole(value), widget));
  const inside = clamped(Number(value), widget);
  return clamped(widget.round === undefined ? inside : roundedTo(inside, widget.round), widget);
}

/** Whether the server would take the value as it is. */
export const fits = (value: Numeric, widget: NumberWidget): boolean =>
  value >= widget.min && value <= widget.max && (widget.kind === "float" || typeof value === "bigint" || Number.isInteger(value));

/** `value` moved by `count` steps, on the grid of the widget; fine steps leave the grid. */
export function stepped(value: Numeric, count: number, widget: NumberWidget, speed: Speed = "normal"): Numeric {
  if (count === 0) return fitted(value, widget);
  return widget.kind === "int" ? steppedWhole(whole(value), count, widget, speed) : steppedReal(Number(value), count, widget, speed);
}

function steppedWhole(value: bigint, count: number, widget: IntWidget, speed: Speed): Numeric {
  const grid = BigInt(Math.max(1, Math.round(widget.step)));
  const steps = BigInt(Math.trunc(count));
  if (speed === "fine" || grid === 1n) {
    return compact(clampedWhole(value + steps * (speed === "coarse" ? BigInt(COARSE) : 1n), widget));
  }
  const least = BigInt(widget.min);
  const origin = least === LEAST ? 0n : least;
  const past = (((value - origin) % grid) + grid) % grid;
  const snapped = past === 0n ? value : count > 0 ? value - past : value - past + grid;
  return compact(clampedWhole(snapped + steps * grid * (speed === "coarse" ? BigInt(COARSE) : 1n), widget));
}

function steppedReal(value: number, count: number, widget: FloatWidget, speed: Speed): number {
  const step = stepSize(widget, speed);
  const places = Math.min(12, Math.max(decimals(step), decimals(value)));
  return Number(fitted(tidy(value + count * step, places), widget));
}

function stepSize(widget: FloatWidget, speed: Speed): number {
  const step = widget.step > 0 ? widget.step : 0.01;
  if (speed === "normal") return step;
  return speed === "coarse" ? step * COARSE : Math.max(step / 10, widget.round ?? 0);
}

/** The text of a value: decimals as its steps have them, so that figures do not jump. */
export function shown(value: Numeric, widget: NumberWidget): string {
  if (widget.kind === "int" || typeof value === "bigint") return String(value);
  const few = Math.min(3, decimals(widget.step));
  const own = decimals(value);
  if (own > 6) return Math.abs(value) < 1e-4 ? value.toExponential() : String(Number(value.toFixed(6)));
  return value.toFixed(Math.max(few, own));
}

/** Where a value stands between the least (0) and the most (1); undefined without both. */
export function fractionOf(value: Numeric, widget: NumberWidget): number | undefined {
  const [min, max] = [Number(widget.min), Number(widget.max)];
  if (!Number.isFinite(min) || !Number.isFinite(max) || max <= min) return undefined;
  return Math.min(1, Math.max(0, (Number(value) - min) / (max - min)));
}

/** How many steps lie between the least and the most, at least one. */
export const stepsBetween = (widget: NumberWidget): number =>
  Math.max(1, (Number(widget.max) - Number(widget.min)) / (widget.kind === "int" ? Math.max(1, widget.step) : widget.step || 0.01));

/** A random source: a whole number of 64 random bits. */
export type Random = () => bigint;

/** A random value of the widget. 64 bits on a range that is far smaller: what the rest favours cannot be noticed. */
export function randomValue(widget: IntWidget, random: Random): Numeric {
  const [min, max] = [BigInt(widget.min), BigInt(widget.max)];
  return max < min ? compact(min) : compact(min + (random() % (max - min + 1n)));
}

/** The value of the next run. A counter stops at its end. */
export function afterRun(value: Numeric, mode: AfterRun, widget: IntWidget, random: Random): Numeric {
  if (mode === "fixed") return value;
  if (mode === "randomize") return randomValue(widget, random);
  const step = BigInt(Math.max(1, Math.round(widget.step)));
  return compact(clampedWhole(whole(value) + (mode === "increment" ? step : -step), widget));
}

function whole(value: Numeric): bigint {
  if (typeof value === "bigint") return value;
  return Number.isFinite(value) ? BigInt(Math.round(value)) : 0n;
}

function clampedWhole(value: bigint, widget: IntWidget): bigint {
  const [min, max] = [BigInt(widget.min), BigInt(widget.max)];
  return value > max ? (max < min ? min : max) : value < min ? min : value;
}

const clamped = (value: number, widget: FloatWidget): number => Math.max(widget.min, Math.min(widget.max, value));

const roundedTo = (value: number, unit: number): number =>
  unit > 0 ? tidy(Math.round(value / unit) * unit, Math.max(decimals(unit), 0)) : value;

/** Without the noise of binary fractions: 0.1 + 0.2 is 0.3. */
const tidy = (value: number, places: number): number => Number(value.toFixed(Math.min(100, places)));

/** How many decimals a number is written with. */
export function decimals(value: number): number {
  const [digits = "", exponent] = String(value).split("e");
  const after = digits.split(".")[1]?.length ?? 0;
  return Math.max(0, after - Number(exponent ?? 0));
}
