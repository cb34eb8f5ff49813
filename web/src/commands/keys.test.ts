import { expect, test } from "vitest";
import type { Command } from "./command";
import { byChord, chordOf, conflicts, normalize, readBindings, showChord, writeBindings, ownersOf, rebound } from "./keys";

const event = (key: string, held: string = "", code = ""): Parameters<typeof chordOf>[0] => ({
  key,
  code,
  ctrlKey: held.includes("c"),
  metaKey: held.includes("m"),
  altKey: held.includes("a"),
  shiftKey: held.includes("s"),
});
const command = (id: string, ...keys: string[]): Command => ({ id, group: "edit", keys, run: () => undefined });

test.each([
  ["k", "c", "KeyK", "mod+k"],
  ["K", "cs", "KeyK", "mod+shift+k"],
  ["?", "s", "Slash", "?"],
  ["Enter", "c", "Enter", "mod+enter"],
  [" ", "", "Space", "space"],
  ["л", "c", "KeyK", "mod+k"],
  ["µ", "a", "KeyM", "alt+m"],
  ["!", "s", "Digit1", "!"],
  ["!", "cs", "Digit1", "mod+shift+1"],
  ["Tab", "s", "Tab", "shift+tab"],
  ["+", "c", "Equal", "mod++"],
])("%j held %j is read as a chord", (key, held, code, chord) => {
  expect(chordOf(event(key, held, code), false)).toBe(chord);
});

test("on a Mac the command key is mod", () => {
  expect(chordOf(event("z", "m", "KeyZ"), true)).toBe("mod+z");
  expect(chordOf(event("z", "c", "KeyZ"), true)).toBe("ctrl+z");
});

test("a modifier alone is no chord", () => {
  expect(chordOf(event("Control", "c"), false)).toBeUndefined();
});

test("chords have one spelling", () => {
  expect(normalize("Shift+Mod+K")).toBe("mod+shift+k");
  expect(normalize("mod++")).toBe("mod++");
  expect(normalize("esc")).toBe("escape");
});

test("chords are shown as the system writes them", () => {
  expect(showChord("mod+shift+k", false)).toBe("Ctrl+Shift+K");
  expect(showChord("mod+shift+k", true)).toBe("⌘⇧K");
  expect(showChord("mod++", false)).toBe("Ctrl++");
  expect(showChord("alt+arrowup", false)).toBe("Alt+↑");
});

test("people's keys replace a command's own, and two of one chord are found", () => {
  const table = [command("a", "mod+a"), command("b", "b")];
  expect([...byChord(table, { a: ["x"] }).keys()]).toEqual(["x", "b"]);
  expect(conflicts(table, {}).size).toBe(0);
  expect([...conflicts(table, { b: ["MOD+A"] }).keys()]).toEqual(["mod+a"]);
});

test("keys that were exported can be imported, and nonsense is refused", () => {
  const table = [command("a", "mod+a"), command("b")];
  expect(readBindings(writeBindings(table, { b: ["x"] }), table)).toEqual({ a: ["mod+a"], b: ["x"] });
  expect(() => readBindings("[]", table)).toThrow();
  expect(() => readBindings('{"other": []}', table)).toThrow();
  expect(() => readBindings('{"a": [1]}', table)).toThrow();
});

test("a chord that is taken from another command leaves that one its other keys", () => {
  const run = (): void => undefined;
  const commands = [
    { id: "a.one", group: "edit", keys: ["mod+k", "f2"], run },
    { id: "a.two", group: "edit", keys: ["mod+l"], run },
  ];
  const [one, two] = commands as [(typeof commands)[0], (typeof commands)[0]];
  expect(ownersOf(commands, {}, "mod+k", "a.two")).toEqual([one]);
  const taken = rebound(commands, {}, "a.two", "mod+k", [one]);
  expect(taken).toEqual({ "a.two": ["mod+k"], "a.one": ["f2"] });
  expect(conflicts(commands, taken).size).toBe(0);
  expect(conflicts(commands, rebound(commands, {}, "a.two", "mod+k")).size).toBe(1);
  expect(rebound(commands, taken, "a.two", "mod+l")).toEqual({ "a.one": ["f2"] });
  expect(two.keys).toEqual(["mod+l"]);
});
