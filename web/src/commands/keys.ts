// Keys: chords as text (`mod+shift+k`), which one an event is, who has which, and where two commands want the same.

import type { Command, CommandTable } from "./command";

const MODIFIERS = ["mod", "ctrl", "meta", "alt", "shift"] as const;
const ALIASES: Readonly<Record<string, string>> = {
  " ": "space",
  esc: "escape",
  del: "delete",
  up: "arrowup",
  down: "arrowdown",
  left: "arrowleft",
  right: "arrowright",
  plus: "+",
};

export type Bindings = Readonly<Record<string, readonly string[]>>;

interface Pressed {
  readonly key: string;
  readonly code?: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
}

/** Chords in one spelling: modifiers in order, names in small letters. */
export function normalize(chord: string): string {
  const parts = chord.toLowerCase().split("+");
  const last = parts.pop() ?? "";
  const key = last === "" ? "+" : (ALIASES[last] ?? last); // "mod++" is mod and plus
  return [...MODIFIERS.filter((modifier) => parts.includes(modifier)), key].join("+");
}

/** The chord of a key that was pressed; undefined for a modifier alone. */
export function chordOf(event: Pressed, mac: boolean): string | undefined {
  const name = event.key.toLowerCase();
  if (["control", "shift", "alt", "meta", "dead", "process", "unidentified"].includes(name)) return undefined;
  const [mod, other] = mac ? [event.metaKey, event.ctrlKey] : [event.ctrlKey, event.metaKey];
  const key = keyName(event, name);
  // Shift is part of what a sign is ("?"), so it counts only with letters and named keys.
  const shift = event.shiftKey && (key.length > 1 || /[a-z0-9]/.test(key));
  const held = { mod, ctrl: mac && other, meta: !mac && other, alt: event.altKey, shift };
  return [...MODIFIERS.filter((modifier) => held[modifier]), key].join("+");
}

/** Where another script types another letter, the letter that is printed on the key counts; digits only with modifiers. */
function keyName(event: Pressed, name: string): string {
  const [, kind, sign] = /^(Key|Digit)(.)$/.exec(event.code ?? "") ?? [];
  const held = event.ctrlKey || event.metaKey || event.altKey;
  if (sign !== undefined && !/^[a-z0-9]$/.test(name) && (kind === "Key" || held)) return sign.toLowerCase();
  return ALIASES[name] ?? name;
}

/** The keys of a command: those that people chose, else its own. */
export const keysOf = (command: Command, bindings: Bindings): readonly string[] =>
  (bindings[command.id] ?? command.keys ?? []).map(normalize);

/** The commands by chord; earlier ones of the table come first. */
export function byChord(table: CommandTable, bindings: Bindings): ReadonlyMap<string, readonly Command[]> {
  const found = new Map<string, Command[]>();
  for (const command of table) {
    for (const chord of keysOf(command, bindings)) found.set(chord, [...(found.get(chord) ?? []), command]);
  }
  return found;
}

/** Chords that more than one command has, except where `when` tells them apart. */
export function conflicts(table: CommandTable, bindings: Bindings): ReadonlyMap<string, readonly Command[]> {
  return new Map([...byChord(table, bindings)].filter(([, commands]) => commands.length > 1));
}

/** The other commands that have a chord already. */
export const ownersOf = (table: CommandTable, bindings: Bindings, chord: string, but: string): readonly Command[] =>
  (byChord(table, bindings).get(normalize(chord)) ?? []).filter((command) => command.id !== but);

/** The bindings with a chord given to a command; `from` are commands that lose it. */
export function rebound(table: CommandTable, bindings: Bindings, id: string, chord: string, from: readonly Command[] = []): Bindings {
  const next: Record<string, readonly string[]> = { ...bindings, [id]: [normalize(chord)] };
  for (const command of from) next[command.id] = keysOf(command, bindings).filter((other) => other !== normalize(chord));
  const own = new Map(table.map((command) => [command.id, (command.keys ?? []).map(normalize).join(" ")]));
  // What is as it came needs no entry, so that a later version may give it other keys.
  return Object.fromEntries(Object.entries(next).filter(([key, keys]) => own.get(key) !== keys.join(" ")));
}

const SIGNS: Readonly<Record<string, string>> = {
  arrowup: "↑",
  arrowdown: "↓",
  arrowleft: "←",
  arrowright: "→",
  enter: "Enter",
  escape: "Esc",
  delete: "Del",
  backspace: "Backspace",
  space: "Space",
  tab: "Tab",
};
const MAC: Readonly<Record<string, string>> = { mod: "⌘", ctrl: "⌃", alt: "⌥", shift: "⇧", meta: "⌘" };
const OTHER: Readonly<Record<string, string>> = { mod: "Ctrl", ctrl: "Ctrl", alt: "Alt", shift: "Shift", meta: "Win" };

/** A chord for people to read: `Ctrl+Shift+K`, or `⌘⇧K` on a Mac. */
export function showChord(chord: string, mac: boolean): string {
  const normal = normalize(chord);
  const key = normal.endsWith("+") ? "+" : (normal.split("+").at(-1) ?? "");
  const modifiers = normal.slice(0, normal.length - key.length).split("+").filter((part) => part !== "");
  const shown = SIGNS[key] ?? (key.length === 1 ? key.toUpperCase() : key.charAt(0).toUpperCase() + key.slice(1));
  return [...modifiers.map((name) => (mac ? MAC : OTHER)[name] ?? name), shown].join(mac ? "" : "+");
}

export const onMac = (platform: string): boolean => /mac|iphone|ipad/i.test(platform);

/** Bindings out of a file that people import; raises for what is none. */
export function readBindings(text: string, table: CommandTable): Bindings {
  const data: unknown = JSON.parse(text);
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new Error("the file holds no keys");
  const known = new Set(table.map((command) => command.id));
  const entries = Object.entries(data as Record<string, unknown>).filter(([id]) => known.has(id));
  if (entries.length === 0) throw new Error("the file names no command of this editor");
  return Object.fromEntries(
    entries.map(([id, keys]) => {
      if (!Array.isArray(keys) || !keys.every((key) => typeof key === "string")) {
        throw new Error(`the keys of ${id} are no list of texts`);
      }
      return [id, keys.map(normalize)];
    }),
  );
}

/** All keys as they are now, to be read again by `readBindings`. */
export const writeBindings = (table: CommandTable, bindings: Bindings): string =>
  JSON.stringify(Object.fromEntries(table.map((command) => [command.id, keysOf(command, bindings)])), null, 2);
