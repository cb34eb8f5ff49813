// Files that are no workflow or a broken one, dropped onto the page: it says where it happens and what to do, and what was
// open stays as it was.

import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import type { Editor } from "../lib/editor";
import { exampleFile } from "../lib/examples";

const json = (name: string, data: unknown) => ({ name, type: "application/json", data: Buffer.from(typeof data === "string" ? data : JSON.stringify(data)) });
const node = (id: number, type: string, more: object = {}): object => ({ id, type, pos: [id * 300, 0], size: [240, 120], ...more });
const slots = (link: number | null, links: number[]): object => ({ inputs: [{ name: "", type: "*", link }], outputs: [{ name: "", type: "*", links }] });
const shape = (page: Editor["page"]): Promise<string[]> => page.locator(".n-title").allTextContents();

/** The tab that was open before, changed by hand, is still there and unchanged. */
async function untouched(editor: Editor, act: () => Promise<void>): Promise<void> {
  const before = await shape(editor.page);
  await editor.node("Prompt").locator("textarea").fill("mine, from before");
  await act();
  await editor.tab("Text to image").first().click();
  expect(await shape(editor.page)).toEqual(before);
  expect(await editor.node("Prompt").locator("textarea").inputValue()).toBe("mine, from before");
  await editor.close();
}

const whole = readFileSync(exampleFile("text_to_image"), "utf8");

export function badFilesJourneys(at: Desk): void {
  test("what is no workflow is refused with its name and what to do", async () => {
    const editor = await at.open();
    const picture = Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "latin1");
    await untouched(editor, async () => {
      const refused: readonly (readonly [ReturnType<typeof json>, RegExp])[] = [
        [json("letter.json", "Dear Sir or Madam"), /could not be opened[^]*\. ?[A-Z][^.]+\./],
        [json("other.json", { a: { b: 1 } }), /could not be opened[^]*[A-Z][^.]+\./],
        [json("half.json", whole.slice(0, whole.length / 2)), /no whole JSON[^]*Open a copy that was saved completely/],
        [json("empty.json", ""), /could not be opened[^]*[A-Z][^.]+\./],
        [json("numbers.json", { nodes: [1, 2] }), /damaged[^]*Open another copy/],
        [{ name: "cut.png", type: "image/png", data: picture }, /could not be opened[^]*[A-Z][^.]+\./],
      ];
      for (const [file, says] of refused) {
        await editor.dropFiles([file]);
        const notice = editor.notice(file.name);
        await notice.waitFor();
        expect(await notice.innerText()).toMatch(says);
        await notice.getByRole("button", { name: "Close" }).click();
      }
      expect(await editor.page.locator(".tab-name").count()).toBe(1);
    });
  });

  test("links in a circle, links that dangle, half a subgraph: opened in a tab of its own, what was mended is said", async () => {
    const editor = await at.open();
    await untouched(editor, async () => {
      await editor.dropFiles([json("circle.json", { nodes: [node(1, "Reroute", slots(1, [2])), node(2, "Reroute", slots(2, [1]))], links: [[1, 2, 0, 1, 0, "*"], [2, 1, 0, 2, 0, "*"]] })]);
      await editor.tab("circle").waitFor();
      await editor.dropFiles([json("dangling.json", { nodes: [node(1, "SaveImage", { inputs: [{ name: "images", type: "IMAGE", link: 5 }], widgets_values: ["x"] })], links: [[5, 9, 0, 1, 0, "IMAGE"]] })]);
      await editor.tab("dangling").waitFor();
      await editor.notice("dangling was mended").waitFor();
      await editor.dropFiles([json("half.json", { nodes: [node(1, "gone-1234"), node(2, "there")], links: [], definitions: { subgraphs: [{ id: "there", name: "Half" }] } })]);
      await editor.tab("half").waitFor();
      await editor.notice("half needs 1 thing that is not here").waitFor();
      expect(await shape(editor.page)).toContain("Half");
    });
  });

  test("a circle is not sent: the run says which nodes are on it", async () => {
    const editor = await at.open();
    const upscale = (id: number, link: number, links: number[]): object =>
      node(id, "ImageScale", { inputs: [{ name: "image", type: "IMAGE", link }], outputs: [{ name: "IMAGE", type: "IMAGE", links }], widgets_values: ["nearest-exact", 64, 64, "disabled"] });
    const nodes = [upscale(1, 2, [1]), upscale(2, 1, [2, 3]), node(3, "SaveImage", { inputs: [{ name: "images", type: "IMAGE", link: 3 }], widgets_values: ["x"] })];
    await editor.dropFiles([json("round.json", { nodes, links: [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 1, 0, "IMAGE"], [3, 2, 0, 3, 0, "IMAGE"]] })]);
    await editor.tab("round").waitFor();
    await editor.runButton.click();
    await editor.page.getByRole("alert").filter({ hasText: /circle|cycle|loop/i }).or(editor.notice(/circle|cycle|loop|error/i)).first().waitFor();
    expect(await at.server.get("/queue")).toEqual({ queue_running: [], queue_pending: [] });
  });

  test("100 MB of JSON is refused at once, and the page stays quick", async () => {
    const folder = mkdtempSync(join(tmpdir(), "easel-large-"));
    const path = join(folder, "large.json");
    const file = openSync(path, "w");
    writeSync(file, '{"nodes":[],"extra":{"a":"');
    const block = Buffer.alloc(1 << 20, 120);
    for (let megabyte = 0; megabyte < 100; megabyte++) writeSync(file, block);
    writeSync(file, '"}}');
    closeSync(file);
    expect(readdirSync(folder)).toEqual(["large.json"]);
    const editor = await at.open();
    await untouched(editor, async () => {
      const chooser = await editor.chooser();
      const begun = Date.now();
      await chooser.setFiles(path);
      const notice = editor.notice("large.json");
      await notice.waitFor();
      expect(await notice.innerText()).toMatch(/too large to open/);
      expect(Date.now() - begun).toBeLessThan(5000);
    });
    rmSync(folder, { recursive: true });
  });
}
