// What happens to texts when they are sent: random choices, comments, and dates and values in file names.

import { writeJson, type Json } from "../json";

/** A number from 0 up to 1, without 1. */
export type Random = () => number;

const TOKEN = /\\[{}|]|[{}|]/g;
const PLACEHOLDER = /%([^%]+)%/g;
// No file name may hold control characters.
const UNSAFE = /[/?<>\\:*|"\x00-\x1f\x7f]/g;
const DATE = /yyyy|yy|MM|M|dd|d|hh|h|mm|m|ss|s/g;

/**
 * `text` without its comments and with one of each `{a|b|c}`, which may nest. `\{`, `\}` and `\|` stand for the
 * character itself; a brace without its partner is text like any other.
 */
export function expandPrompt(text: string, random: Random): string {
  text = withoutComments(text);
  const frames: string[][] = [[""]]; // per open brace, and for the text around: its alternatives
  const say = (more: string): void => {
    const alternatives = frames.at(-1) ?? [];
    alternatives.push((alternatives.pop() ?? "") + more);
  };
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const token = match[0];
    say(text.slice(end, match.index));
    end = match.index + token.length;
    if (token === "{") frames.push([""]);
    else if (token === "|" && frames.length > 1) frames.at(-1)?.push("");
    else if (token === "}" && frames.length > 1) {
      const alternatives = frames.pop() ?? [];
      say(alternatives[Math.min(Math.floor(random() * alternatives.length), alternatives.length - 1)] ?? "");
    } else say(token.slice(-1));
  }
  say(text.slice(end));
  return frames.map((alternatives) => alternatives.join("|")).join("{");
}

/** `text` without comments, in linear time; one that is not closed is no comment. */
function withoutComments(text: string): string {
  const kept: string[] = [];
  let blocks = true;
  let [start, at] = [0, 0];
  for (;;) {
    const opening: RegExp = blocks ? /\/\/|\/\*/g : /\/\//g;
    opening.lastIndex = at;
    const match: RegExpExecArray | null = opening.exec(text);
    if (match === null) break;
    const isLine = match[0] === "//";
    const end = text.indexOf(isLine ? "\n" : "*/", match.index + 2);
    if (end < 0 && !isLine) {
      [blocks, at] = [false, match.index + 2];
      continue;
    }
    kept.push(text.slice(start, match.index));
    start = at = end < 0 ? text.length : end + (isLine ? 0 : 2);
  }
  return kept.join("") + text.slice(start);
}

/**
 * `text` with `%date:yyyy-MM-dd%` and `%Node.widget%` filled in; other placeholders stay for the node itself.
 * `valueOf` gives null for what does not exist. Characters that no file name may hold become `_`.
 */
export function fillPlaceholders(text: string, now: Date, valueOf: (node: string, widget: string) => Json): string {
  return text.replace(PLACEHOLDER, (whole: string, inner: string) => {
    if (inner.startsWith("date:")) return formatDate(inner.slice(5), now).replace(UNSAFE, "_");
    const dot = inner.indexOf(".");
    const value = dot < 0 ? null : valueOf(inner.slice(0, dot), inner.slice(dot + 1));
    if (value === null) return whole;
    return (typeof value === "string" ? value : writeJson(value)).replace(UNSAFE, "_");
  });
}

/** `now` after a pattern of `yyyy MM dd hh mm ss` (or one letter: without the leading zero); hours up to 23. */
export function formatDate(pattern: string, now: Date): string {
  const parts: Readonly<Record<string, number>> = {
    M: now.getMonth() + 1, d: now.getDate(), h: now.getHours(), m: now.getMinutes(), s: now.getSeconds(),
  };
  return pattern.replace(DATE, (token) => {
    if (token.startsWith("y")) return String(now.getFullYear()).padStart(4, "0").slice(-token.length);
    return String(parts[token.slice(0, 1)] ?? 0).padStart(token.length, "0");
  });
}
