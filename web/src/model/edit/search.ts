// Finding node types by a few letters. Our own ranking, the same for everybody: an exact prefix is never outranked.

import type { NodeType } from "../types";
import { everyInput } from "../inputs";
import { fits } from "../types";

export interface Query {
  readonly words: string;
  /** Only types with an input (or output) that fits. */
  readonly takes: readonly string[];
  readonly gives: readonly string[];
  readonly categories: readonly string[];
}

export interface Found {
  readonly type: NodeType;
  readonly score: number;
}

/** How often each type was put into a graph, and which ones last. */
export interface Uses {
  readonly counts: Readonly<Record<string, number>>;
  readonly recent: readonly string[];
}

export const NO_USES: Uses = { counts: {}, recent: [] };

/** `in:LATENT out:IMAGE cat:sampling words`; several types may stand behind commas. */
export function readQuery(text: string): Query {
  const query = { takes: [] as string[], gives: [] as string[], categories: [] as string[] };
  const words = text.replace(/(?:^|\s)(in|out|cat):(\S*)/gi, (_, key: string, value: string) => {
    const list = { in: query.takes, out: query.gives, cat: query.categories }[key.toLowerCase()];
    if (value !== "") list?.push(value);
    return " ";
  });
  return { ...query, words: words.trim().toLowerCase() };
}

// The bands do not overlap: no number of uses lifts a type from one into the next.
const EXACT = 1000;
const PREFIX = 800;
const WORD = 600;
const WORDS = 500;
const INSIDE = 400;
const OTHER = 300;
const FUZZY = 200;
const BAND = 99;

/** The types that match, best first. */
export function search(types: Iterable<NodeType>, text: string, uses: Uses = NO_USES, limit = 60): Found[] {
  const query = readQuery(text);
  const found: Found[] = [];
  for (const type of types) {
    if (!passes(type, query)) continue;
    const match = query.words === "" ? 1 : matchType(type, query.words);
    if (match > 0) found.push({ type, score: match + bonus(type, query.words, uses) });
  }
  found.sort((a, b) => b.score - a.score || a.type.title.length - b.type.title.length || a.type.title.localeCompare(b.type.title));
  return found.slice(0, limit);
}

function passes(type: NodeType, query: Query): boolean {
  const lower = type.category.toLowerCase();
  return (
    query.takes.every((wanted) => everyInput(type).some((input) => fits(wanted, input.type) && (input.type !== "*" || wanted === "*"))) &&
    query.gives.every((wanted) => type.outputs.some((output) => fits(output.type, wanted))) &&
    query.categories.every((wanted) => lower.includes(wanted.toLowerCase()))
  );
}

/** Within a band: what is used often and was used lately, then what is not outdated. */
function bonus(type: NodeType, words: string, uses: Uses): number {
  const used = Math.min(40, 8 * Math.log2(1 + (uses.counts[type.name] ?? 0)));
  const place = uses.recent.indexOf(type.name);
  const recent = place < 0 ? 0 : Math.max(0, 20 - place);
  const short = words === "" ? 0 : (words.length / Math.max(words.length, type.title.length)) * 20;
  const dated = (type.deprecated ? 15 : 0) + (type.experimental ? 5 : 0);
  return Math.max(0, Math.min(BAND, 15 + used + recent + short - dated));
}

function matchType(type: NodeType, words: string): number {
  const names = [type.title, type.name];
  const own = Math.max(...names.map((name) => matchName(name, words)));
  if (own >= INSIDE) return own;
  return Math.max(own, matchRest(type, words));
}

/** How well a name matches what was typed. */
export function matchName(name: string, words: string): number {
  const lower = name.toLowerCase();
  const [bare, typed] = [squeeze(lower), squeeze(words)];
  if (lower === words || bare === typed) return EXACT;
  if (lower.startsWith(words) || bare.startsWith(typed)) return PREFIX;
  return matchWords(splitWords(name), words) || matchInside(lower, words);
}

function matchWords(starts: readonly string[], words: string): number {
  const parts = words.split(/\s+/);
  const isMany = parts.length > 1;
  if (starts.some((word) => word.startsWith(words))) return WORD;
  if (startsInOrder(starts, parts)) return WORDS + (isMany ? 50 : 0);
  if (isMany && parts.every((part) => starts.some((word) => word.startsWith(part)))) return WORDS;
  return words.length > 1 && initials(starts).startsWith(words) ? WORDS : 0;
}

function matchInside(lower: string, words: string): number {
  if (words.split(/\s+/).every((part) => lower.includes(part))) return INSIDE;
  const gaps = fuzzyGaps(lower, squeeze(words));
  return gaps === undefined || words.length < 3 || gaps > words.length * 2 ? 0 : FUZZY - Math.min(90, gaps * 8);
}

function matchRest(type: NodeType, words: string): number {
  const parts = words.split(/\s+/);
  const places = [type.category, type.description, type.pack, ...everyInput(type).map((input) => input.type), ...type.outputs.map((output) => output.type)];
  const text = [type.title, type.name, ...places].join(" ").toLowerCase();
  const starts = splitWords(text);
  return parts.every((part) => starts.some((word) => word.startsWith(part))) ? OTHER : 0;
}

const squeeze = (text: string): string => text.replace(/[\s_\-()./]+/g, "");

/** `KSampler (Advanced)` and `VAEDecodeTiled` in the words that people see in them. */
export const splitWords = (name: string): string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== "");

const initials = (words: readonly string[]): string => words.map((word) => word[0] ?? "").join("");

function startsInOrder(words: readonly string[], parts: readonly string[]): boolean {
  let at = 0;
  for (const part of parts) {
    const place = words.findIndex((word, index) => index >= at && word.startsWith(part));
    if (place < 0) return false;
    at = place + 1;
  }
  return true;
}

/** How many letters lie between those of `letters` in `text`; undefined if it does not have them in order. */
function fuzzyGaps(text: string, letters: string): number | undefined {
  let gaps = 0;
  let last = -1;
  for (const letter of letters) {
    const place = text.indexOf(letter, last + 1);
    if (place < 0) return undefined;
    if (last >= 0) gaps += place - last - 1;
    last = place;
  }
  return gaps;
}

/** `uses` after one more use of a type. */
export function used(uses: Uses, name: string): Uses {
  const counts = { ...uses.counts, [name]: (uses.counts[name] ?? 0) + 1 };
  return { counts, recent: [name, ...uses.recent.filter((other) => other !== name)].slice(0, 20) };
}
