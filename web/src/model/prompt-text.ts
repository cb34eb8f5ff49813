// Editing prompts: weights with a key, and completing the names of embeddings and LoRAs. Pure text in, an edit out.

/** Replace `from`..`to` by `insert`, then select `start`..`end`. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
  readonly start: number;
  readonly end: number;
}

export const applyEdit = (text: string, edit: Edit): string =>
  text.slice(0, edit.from) + edit.insert + text.slice(edit.to);

/** Parentheses without a number weigh this much. */
const PLAIN_GROUP = 1.1;
const MAX_WEIGHT = 10;

interface Group {
  /** Of the opening parenthesis, and behind the closing one. */
  readonly from: number;
  readonly to: number;
  /** The text that is weighted. */
  readonly start: number;
  readonly end: number;
  readonly weight: number;
}

/**
 * The edit that makes the selection, or the word at the caret, weigh `delta` more. A weight of 1 needs no parentheses.
 * Undefined where there is nothing to weigh.
 */
export function weigh(text: string, start: number, end: number, delta: number): Edit | undefined {
  const tag = loraAt(text, start, end);
  if (tag !== undefined) return tag(delta);
  const chosen = start === end ? undefined : trimmed(text, start, end);
  if (start !== end && chosen === undefined) return undefined;
  const group = chosen === undefined ? groupAround(text, start) : groupOf(text, chosen[0], chosen[1]);
  const target = group ?? chosen ?? wordAt(text, start);
  if (target === undefined) return undefined;
  const place: Group = "weight" in target ? target : plain(target[0], target[1]);
  return reweighted(text, place, place.weight + delta, chosen === undefined ? start - place.start : undefined);
}

const plain = (start: number, end: number): Group => ({ from: start, to: end, start, end, weight: 1 });

function reweighted(text: string, group: Group, wanted: number, caret: number | undefined): Edit {
  const content = text.slice(group.start, group.end);
  const weight = Math.round(Math.min(MAX_WEIGHT, Math.max(0, wanted)) * 100) / 100;
  const insert = weight === 1 ? content : `(${content}:${String(weight)})`;
  const first = group.from + (weight === 1 ? 0 : 1);
  if (caret === undefined) return { from: group.from, to: group.to, insert, start: first, end: first + content.length };
  const at = first + Math.min(content.length, Math.max(0, caret));
  return { from: group.from, to: group.to, insert, start: at, end: at };
}

const LORA = /<lora:([^:<>]+)(?::([-+]?[\d.]+))?((?::[-+]?[\d.]+)?)>/g;

function loraAt(text: string, start: number, end: number): ((delta: number) => Edit) | undefined {
  for (const found of text.matchAll(LORA)) {
    const [whole, name = "", weight = "1", rest = ""] = found;
    const to = found.index + whole.length;
    if (start < found.index || end > to || (start === end && (start === found.index || start === to))) continue;
    return (delta) => {
      const insert = `<lora:${name}:${String(Math.round((Number(weight) + delta) * 100) / 100)}${rest}>`;
      const last = found.index + insert.length;
      return { from: found.index, to, insert, start: start === end ? Math.min(start, last - 1) : found.index, end: start === end ? Math.min(start, last - 1) : last };
    };
  }
  return undefined;
}

function trimmed(text: string, start: number, end: number): [number, number] | undefined {
  while (start < end && /\s/.test(text.charAt(start))) start++;
  while (end > start && /\s/.test(text.charAt(end - 1))) end--;
  return start === end ? undefined : [start, end];
}

const isEscaped = (text: string, at: number): boolean => /(?:^|[^\\])(?:\\\\)*\\$/.test(text.slice(0, at));

/** All groups in parentheses, the inner ones first. Parentheses without a partner are plain text. */
function groups(text: string): Group[] {
  const open: number[] = [];
  const found: Group[] = [];
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if ((sign !== "(" && sign !== ")") || isEscaped(text, at)) continue;
    if (sign === "(") open.push(at);
    else {
      const from = open.pop();
      if (from !== undefined) found.push(readGroup(text, from, at + 1));
    }
  }
  return found;
}

function readGroup(text: string, from: number, to: number): Group {
  const number = /:\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*$/.exec(text.slice(from + 1, to - 1));
  const end = number === null ? to - 1 : from + 1 + number.index;
  return { from, to, start: from + 1, end, weight: number === null ? PLAIN_GROUP : Number(number[1]) };
}

const groupAround = (text: string, at: number): Group | undefined =>
  groups(text).find((group) => group.from < at && at < group.to);

/** The group whose text, or which itself, is exactly what is selected. */
const groupOf = (text: string, start: number, end: number): Group | undefined =>
  groups(text).find(
    (group) => (group.start === start && (group.end === end || group.to - 1 === end)) || (group.from === start && group.to === end),
  );

const WORD = /(?:\\.|[^\s,()<>{}|\\])+/g;

function wordAt(text: string, at: number): [number, number] | undefined {
  for (const found of text.matchAll(WORD)) {
    const end = found.index + found[0].replace(/[.;:!?]+$/, "").length;
    if (found.index <= at && at <= found.index + found[0].length && end > found.index) return [found.index, end];
  }
  return undefined;
}

export interface Completion {
  readonly kind: "embedding" | "lora";
  /** What of the name is written already. */
  readonly query: string;
  /** The part that a name replaces, up to the caret. */
  readonly from: number;
  readonly to: number;
}

/** What can be completed at the caret: after `embedding:` and after `<lora:`. */
export function completionAt(text: string, caret: number): Completion | undefined {
  const before = text.slice(Math.max(0, caret - 200), caret);
  const lora = /<lora:([^:<>\n]*)$/i.exec(before);
  if (lora !== null) return { kind: "lora", query: lora[1] ?? "", from: caret - lora[0].length, to: caret };
  const embedding = /(?:^|[\s,(])(embedding:([^\s,()<>:]*))$/i.exec(before);
  if (embedding === null) return undefined;
  return { kind: "embedding", query: embedding[2] ?? "", from: caret - (embedding[1]?.length ?? 0), to: caret };
}

/** The edit that puts a name in its place; a LoRA's tag is closed unless it is closed already. */
export function completed(text: string, completion: Completion, name: string): Edit {
  if (completion.kind === "embedding") {
    const insert = `embedding:${name}`;
    const at = completion.from + insert.length;
    return { from: completion.from, to: completion.to, insert, start: at, end: at };
  }
  const closes = /^[^<>\s,]*>/.test(text.slice(completion.to));
  const insert = closes ? `<lora:${name}` : `<lora:${name}:1>`;
  const at = completion.from + insert.length;
  return { from: completion.from, to: completion.to, insert, start: at, end: at };
}

/** Names that fit what is written: those that start with it first, then those whose last part does, then the others. */
export function ranked(names: readonly string[], query: string, limit = 50): string[] {
  const wanted = query.toLowerCase();
  const rank = (name: string): number => {
    const low = name.toLowerCase();
    if (low.startsWith(wanted)) return 0;
    if (low.slice(low.lastIndexOf("/") + 1).startsWith(wanted)) return 1;
    return low.includes(wanted) ? 2 : 3;
  };
  const kept = names.map((name) => ({ name, rank: rank(name) })).filter((each) => each.rank < 3);
  return kept.sort((left, right) => left.rank - right.rank || left.name.localeCompare(right.name)).slice(0, limit).map((each) => each.name);
}
