import { expect, test } from "vitest";
import { MOST_RECENT, recentFiles, rememberFile } from "./recent";

const memory = (): Pick<Storage, "getItem" | "setItem"> => {
  const kept = new Map<string, string>();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
};

test("the last file stands first, each once, and only a few are kept", () => {
  const local = memory();
  for (const path of ["a.json", "b.json", "a.json"]) rememberFile(local, path);
  expect(recentFiles(local)).toEqual(["a.json", "b.json"]);
  for (let number = 0; number < 20; number++) rememberFile(local, `${number}.json`);
  expect(recentFiles(local)).toHaveLength(MOST_RECENT);
});

test("a damaged list is an empty one", () => {
  const local = memory();
  local.setItem("easel.recent", "{nonsense");
  expect(recentFiles(local)).toEqual([]);
});
