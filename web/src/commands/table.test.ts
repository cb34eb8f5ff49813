import { expect, test } from "vitest";
import { words as english } from "../i18n/en/commands";
import { conflicts, keysOf } from "./keys";
import type { Services } from "./services";
import { createCommands, GROUPS } from "./table";

const table = createCommands({} as Services);

test("every command has a title, and a group that the palette knows", () => {
  for (const command of table) {
    expect(english, command.id).toHaveProperty([`command.${command.id}`]);
    expect(GROUPS).toContain(command.group);
  }
});

test("as delivered, no two commands want the same keys", () => {
  expect([...conflicts(table, {}).keys()]).toEqual([]);
});

test("what everybody knows by heart has its usual keys", () => {
  const keys = (id: string): readonly string[] => table.filter((command) => command.id === id).flatMap((command) => keysOf(command, {}));
  expect(keys("edit.undo")).toContain("mod+z");
  expect(keys("edit.redo")).toEqual(["mod+shift+z", "mod+y"]);
  expect(keys("run.queue")).toContain("mod+enter");
  expect(keys("view.palette")).toContain("mod+k");
  expect(keys("view.find")).toContain("mod+f");
  expect(keys("node.mute")).toContain("mod+m");
  expect(keys("node.bypass")).toContain("mod+b");
  expect(keys("edit.pasteLinked")).toContain("mod+shift+v");
});
