// Files: pictures with their workflows, saving and versions, exports, links that hold a workflow, what is missing.

import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import { COLORS, Editor, isLike } from "../lib/editor";
import { exampleFile } from "../lib/examples";
import { python, ROOT } from "../lib/server";

const TEXT_TO_IMAGE = exampleFile("text_to_image");
const seedOf = ({ prompt }: Awaited<ReturnType<Editor["run"]>>): unknown => Object.values(prompt).find((node) => node.class_type === "KSampler")?.inputs["seed"];

export function filesJourneys(at: Desk): void {
  const { open } = at;

  test("Somebody opens a picture that was made before, dropped and by the dialog, and its workflow runs.", async () => {
    const editor = await open();
    const { page } = editor;
    await editor.number(editor.node("KSampler"), "steps", "6");
    await editor.number(editor.node("KSampler"), "seed", "4711");
    await editor.write(editor.field(editor.node("Prompt"), "text"), "a large red heart on a white background");
    const ended = await editor.run();
    const made = Object.values(ended.outputs).flatMap((output) => output.images ?? [])[0];
    if (made === undefined) throw new Error("a picture was made");
    const answer = await fetch(`${editor.server.url}/view?filename=${made.filename}&type=output&subfolder=`);
    const picture = Buffer.from(await answer.arrayBuffer());

    await editor.dropFiles([{ name: "old picture.png", type: "image/png", data: picture }]);
    await editor.tab("old picture").waitFor();
    await expect.poll(() => editor.title()).toBe("old picture");
    expect(await editor.value(editor.node("KSampler"), "seed")).toBe("4711");
    expect(await editor.field(editor.node("Prompt"), "text").inputValue()).toBe("a large red heart on a white background");
    await editor.number(editor.node("KSampler"), "seed", "12");
    expect(seedOf(await editor.run())).toBe(12);
    expect(isLike((await editor.pixels(editor.pictureOf(editor.node("Save Image")))).at(0.03, 0.03), COLORS.white, 80)).toBe(true);

    await (await editor.chooser()).setFiles({ name: "again.png", mimeType: "image/png", buffer: picture });
    await expect.poll(() => editor.title()).toBe("again");
    expect(seedOf(await editor.run())).toBe(4711);
    // What is open is never replaced.
    expect(await page.getByRole("navigation", { name: "Open workflows" }).getByRole("listitem").count()).toBe(3);
    await editor.close();
  });

  test("Somebody saves, saves under another name, renames, duplicates and goes back to a version; exports and a shared link hold the same.", async () => {
    const editor = await open();
    const { page } = editor;
    const ask = page.getByRole("dialog");
    await page.keyboard.press("Control+s");
    await ask.getByRole("textbox", { name: "Name" }).fill("castles/first");
    await page.keyboard.press("Enter");
    await editor.notice("first is saved").waitFor();
    await editor.tab("first").waitFor();
    expect(await editor.title()).toBe("first");
    await editor.number(editor.node("KSampler"), "steps", "7");
    await page.getByRole("button", { name: "first (not saved)" }).waitFor();
    await page.keyboard.press("Control+s");
    await expect.poll(() => page.getByRole("button", { name: "first (not saved)" }).count()).toBe(0);
    await page.keyboard.press("Control+Shift+s");
    await ask.getByRole("textbox", { name: "Name" }).fill("castles/second");
    await page.keyboard.press("Enter");
    await expect.poll(() => editor.title()).toBe("second");
    await editor.tab("second").dblclick();
    await page.getByRole("textbox", { name: "Rename workflow…" }).fill("third");
    await page.keyboard.press("Enter");
    await expect.poll(() => editor.title()).toBe("third");
    await editor.mainMenu("Duplicate workflow");
    await expect.poll(() => editor.title()).toBe("third copy");
    const panel = await editor.panel("Files");
    await panel.getByRole("button", { name: "Saved", exact: true }).click();
    const all = panel.getByRole("region", { name: "All" });
    await all.getByRole("button", { name: /^first/ }).waitFor();
    await all.getByRole("button", { name: /^third/ }).waitFor();
    expect(await all.getByRole("button", { name: /^second/ }).count()).toBe(0);
    expect(readFileSync(join(editor.server.base, "user", "default", "workflows", "castles", "third.json"), "utf-8")).toContain('"KSampler"');

    // The first version has the steps of the template.
    await all.getByRole("button", { name: /^first/ }).click();
    await expect.poll(() => editor.title()).toBe("first");
    expect(await editor.value(editor.node("KSampler"), "steps")).toBe("7");
    await panel.getByRole("button", { name: "Versions" }).click();
    await expect.poll(() => panel.getByRole("listitem").count()).toBe(2);
    await panel.getByRole("listitem").last().getByRole("button").click();
    await expect.poll(() => editor.title()).toMatch(/^first \(/);
    expect(await editor.value(editor.node("KSampler"), "steps")).toBe("20");
    await editor.closePanel();

    // Both exports, and what Python makes of the first.
    await editor.number(editor.node("KSampler"), "seed", "18446744073709551557");
    const workflow = await editor.download(() => page.keyboard.press("Control+e"));
    const prompt = await editor.download(() => page.keyboard.press("Control+Shift+e"));
    const file = join(editor.server.base, "exported.json");
    writeFileSync(file, workflow.data);
    const { stdout } = await promisify(execFile)(python(), [join(ROOT, "main.py"), "convert", file], { cwd: editor.server.base, maxBuffer: 2 ** 24 });
    expect(prompt.data.toString("utf-8")).toContain("18446744073709551557");
    expect(exact(prompt.data.toString("utf-8"))).toEqual(exact(stdout));

    // A link that holds the workflow opens it for somebody else.
    await editor.mainMenu("Copy a link that holds the workflow");
    await editor.notice("The link is copied").waitFor();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    expect(link.startsWith(`${editor.server.url}/#`)).toBe(true);
    const other = await at.open();
    await other.page.goto("about:blank");
    await other.page.goto(link);
    await expect.poll(() => other.title()).toBe("Shared workflow");
    const shared = await other.download(() => other.page.keyboard.press("Control+e"));
    expect(exact(shared.data.toString("utf-8"))).toEqual(exact(workflow.data.toString("utf-8")));
    await other.close();
    await editor.close();
  });

  test("Somebody opens a workflow that needs nodes, models and pictures that are not there: it opens, says so, and is saved with all it had.", async () => {
    const editor = await open();
    const { page } = editor;
    const before = JSON.parse(readFileSync(TEXT_TO_IMAGE, "utf-8")) as { nodes: Record<string, unknown>[]; last_node_id: number };
    const strange = {
      id: 90, type: "SuperUnknownNode", pos: [700, 700], size: [300, 100], flags: {}, order: 9, mode: 0,
      inputs: [{ name: "what", type: "WHAT", link: null, shape: 7, odd: { kept: [1, 2.5, "x"] } }],
      outputs: [{ name: "THING", type: "THING", links: null }],
      properties: { cnr_id: "some-pack", "Node name for S&R": "SuperUnknownNode", deep: { a: [null, true] } },
      widgets_values: ["text", 1.5, { nested: [] }], strange_key: { z: 1, a: 2 },
    };
    const load = {
      id: 91, type: "LoadImage", pos: [0, 700], size: [300, 300], flags: {}, order: 10, mode: 4, inputs: [],
      outputs: [{ name: "IMAGE", type: "IMAGE", links: null }, { name: "MASK", type: "MASK", links: null }],
      properties: { "Node name for S&R": "LoadImage" }, widgets_values: ["holiday.png", "image"],
    };
    const text = JSON.stringify({ ...before, last_node_id: 91, nodes: [...before.nodes, strange, load] })
      .replace("easel-demo.safetensors", "easel-dem.safetensors")
      .replace('["text",1.5,', '["text",1.5,18446744073709551557,');
    await editor.dropFiles([{ name: "foreign.json", type: "application/json", data: Buffer.from(text) }]);
    await expect.poll(() => editor.title()).toBe("foreign");
    const missing = editor.notice("foreign needs 3 things that are not here");
    await missing.getByRole("button", { name: "Show" }).click();
    const dialog = page.getByRole("dialog", { name: "What foreign needs" });
    await dialog.getByText("SuperUnknownNode").waitFor();
    await dialog.getByText("some-pack").waitFor();
    await dialog.getByText("holiday.png").waitFor();
    await dialog.getByText("into models/checkpoints").waitFor();
    await dialog.getByRole("button", { name: "Use it" }).click();
    await expect.poll(() => dialog.getByText("easel-dem.safetensors").count()).toBe(0);
    await dialog.getByRole("button", { name: "Close" }).click();
    expect(await editor.value(editor.node("Load Checkpoint"), "ckpt_name")).toBe("easel-demo.safetensors");
    await editor.node("SuperUnknownNode").getByText("The server has no node “SuperUnknownNode”").waitFor();

    // Something else is changed, so that the file is written anew.
    await editor.number(editor.node("KSampler"), "steps", "3");
    await page.keyboard.press("Control+s");
    await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill("foreign");
    await page.keyboard.press("Enter");
    await editor.notice("foreign is saved").waitFor();
    const saved = readFileSync(join(editor.server.base, "user", "default", "workflows", "foreign.json"), "utf-8");
    const nodes = (JSON.parse(saved) as { nodes: Record<string, unknown>[] }).nodes;
    const kept = JSON.stringify(nodes.find(({ id }) => id === 90));
    expect(kept).toBe(JSON.stringify({ ...strange, widgets_values: ["text", 1.5, Number("18446744073709551557"), { nested: [] }] }));
    // Whole numbers beyond doubles too.
    expect(saved.replaceAll(/\s/g, "")).toContain('["text",1.5,18446744073709551557,{"nested":[]}]');
    await editor.close(/404 \(Not Found\).*holiday\.png/);
  });
}

/** JSON with every number as its text, since doubles would hide differences. */
const exact = (text: string): unknown => JSON.parse(text.replaceAll(/(?<=[:[,]\s*)-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?=\s*[,\]}])/g, (number) => `"#${Number.isInteger(Number(number)) && number.includes(".") ? String(Number(number)) : number}"`));
