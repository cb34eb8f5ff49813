// JSON as the document holds it. Whole numbers beyond 2^53 (seeds have 64 bits) are bigint, so that none is rounded.

export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export class JsonError extends Error {
  constructor(
    message: string,
    readonly line: number,
    readonly column: number,
  ) {
    super(`${message} (line ${line}, column ${column})`);
  }
}

export const MAX_DEPTH = 64;
/** Longer numbers are refused: reading a whole number of a million digits takes minutes. */
export const MAX_DIGITS = 1000;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isArray = (value: unknown): value is readonly Json[] => Array.isArray(value);

/** The value written in `text`. Bare NaN and infinities, which Python writes, become null. */
export function parseJson(text: string, maxDepth = MAX_DEPTH): Json {
  return new Reader(text, maxDepth).whole();
}

type Place = string | number;
/** Numbers that a text spells in another way than we would (`4.0`, `1e-3`), by their places in what they stand in. */
type Spelling = ReadonlyMap<Place, string>;
const spellings = new WeakMap<object, Spelling>();

/** `now`, whose numbers that stand as they did in `before` will be written as they were read. */
export function spelledAs<T extends readonly Json[] | JsonObject>(before: readonly Json[] | JsonObject, now: T): T {
  const spelling = spellings.get(before);
  if (spelling !== undefined) spellings.set(now, spelling);
  return now;
}

/** `value` as JSON text; bigint is written in full, keys keep their order, numbers that were read their spelling. */
export function writeJson(value: Json, indent = 0): string {
  return write(value, indent, "");
}

function write(value: Json, indent: number, before: string): string {
  if (typeof value === "bigint") return value.toString();
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = before + " ".repeat(indent);
  const spelling = spellings.get(value);
  const member = (item: Json, place: Place): string => {
    const text = spelling?.get(place);
    return text !== undefined && Object.is(Number(text), item) ? text : write(item, indent, inner);
  };
  const [open, between, close] = indent > 0 ? [`\n${inner}`, `,\n${inner}`, `\n${before}`] : ["", ",", ""];
  if (isArray(value)) {
    if (value.length === 0) return "[]";
    return `[${open}${value.map(member).join(between)}${close}]`;
  }
  const entries = Object.entries(value as JsonObject);
  if (entries.length === 0) return "{}";
  const colon = indent > 0 ? ": " : ":";
  const lines = entries.map(([key, item]) => `${JSON.stringify(key)}${colon}${member(item, key)}`);
  return `{${open}${lines.join(between)}${close}}`;
}

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const CONSTANT = /null|true|false|NaN|-?Infinity/y;
const SPACE = /[ \t\r\n]*/y;
const CONSTANTS: Readonly<Record<string, Json>> = { null: null, true: true, false: false };

function remembered<T extends readonly Json[] | JsonObject>(value: T, spelling: Spelling): T {
  if (spelling.size > 0) spellings.set(value, spelling);
  return value;
}

class Reader {
  private at = 0;
  private depth = 0;
  /** How the value that was read last is spelled, if it is a number with another spelling than ours. */
  private spelled: string | undefined;

  constructor(
    private readonly text: string,
    private readonly maxDepth: number,
  ) {
    if (text.startsWith("\ufeff")) this.at = 1;
  }

  whole(): Json {
    const value = this.value();
    this.skip();
    if (this.at < this.text.length) throw this.error("there is more after the end");
    return value;
  }

  private value(): Json {
    this.skip();
    this.spelled = undefined;
    const first = this.text[this.at];
    if (first === "{") return this.nested(() => this.object());
    if (first === "[") return this.nested(() => this.array());
    if (first === '"') return this.string();
    const constant = this.match(CONSTANT);
    if (constant !== undefined) return CONSTANTS[constant] ?? null;
    const number = this.match(NUMBER);
    if (number === undefined) throw this.error("expected a value");
    if (number.length > MAX_DIGITS) throw this.error(`a number has more than ${MAX_DIGITS} digits`);
    const value = Number(number);
    if (number !== String(value)) this.spelled = number;
    if (Number.isSafeInteger(value) || /[.eE]/.test(number)) return Number.isFinite(value) ? value : null;
    return BigInt(number);
  }

  private nested<T>(read: () => T): T {
    if (++this.depth > this.maxDepth) throw this.error(`nested more than ${this.maxDepth} levels deep`);
    this.at++;
    const value = read();
    this.depth--;
    this.spelled = undefined;
    return value;
  }

  private object(): JsonObject {
    const entries: [string, Json][] = [];
    const spelling = new Map<Place, string>();
    this.list("}", () => {
      const key = this.string();
      this.skip();
      if (this.text[this.at] !== ":") throw this.error("expected a colon");
      this.at++;
      entries.push([key, this.value()]);
      if (this.spelled !== undefined) spelling.set(key, this.spelled);
    });
    // Object.fromEntries makes own properties of every key, also of "__proto__".
    return remembered(Object.fromEntries(entries), spelling);
  }

  private array(): readonly Json[] {
    const items: Json[] = [];
    const spelling = new Map<Place, string>();
    this.list("]", () => {
      const place = items.push(this.value()) - 1;
      if (this.spelled !== undefined) spelling.set(place, this.spelled);
    });
    return remembered(items, spelling);
  }

  private list(close: string, item: () => void): void {
    this.skip();
    if (this.text[this.at] === close) {
      this.at++;
      return;
    }
    for (;;) {
      this.skip();
      item();
      this.skip();
      const next = this.text[this.at];
      if (next !== "," && next !== close) throw this.error(`expected a comma or ${close}`);
      this.at++;
      if (next === close) return;
    }
  }

  private string(): string {
    // No regular expression: over a text of megabytes it would run out of stack.
    const start = this.at;
    let end = this.text[start] === '"' ? start : -1;
    do end = end < 0 ? -1 : this.text.indexOf('"', end + 1);
    while (end >= 0 && this.isEscaped(end));
    if (end < 0) throw this.error("expected a text in quotes");
    this.at = end + 1;
    try {
      return JSON.parse(this.text.slice(start, end + 1)) as string;
    } catch {
      this.at = start;
      throw this.error("a text has characters that JSON does not allow");
    }
  }

  private isEscaped(at: number): boolean {
    let before = at;
    while (this.text[before - 1] === "\\") before--;
    return (at - before) % 2 === 1;
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  private skip(): void {
    SPACE.lastIndex = this.at;
    this.at += SPACE.exec(this.text)?.[0].length ?? 0;
  }

  private error(message: string): JsonError {
    let [line, start] = [1, 0];
    for (let end = this.text.indexOf("\n"); end >= 0 && end < this.at; end = this.text.indexOf("\n", end + 1)) {
      [line, start] = [line + 1, end + 1];
    }
    return new JsonError(message, line, this.at - start + 1);
  }
}
