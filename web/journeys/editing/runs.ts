// Running: what is wrong is shown where it is, parts are left out, jobs are ordered, stopped, looked at and compared.

import { readFileSync } from "node:fs";
import type { Locator } from "playwright-core";
import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import { boxOf, COLORS, isLike, type Editor } from "../lib/editor";
import { exampleFile } from "../lib/examples";

const TEXT_TO_IMAGE = readFileSync(exampleFile("text_to_image"), "utf-8");

export function runsJourneys({ open }: Desk): void {
  test("Somebody is shown each error on its node and its very input, is led there from the list, mends it and runs.", async () => {
    const editor = await open();
    const { page } = editor;
    const wrong = TEXT_TO_IMAGE.replace('"dpmpp_2m"', '"eulr"').replace(/("fixed",\s*)20/, "$199999");
    await editor.dropFiles([{ name: "wrong.json", type: "application/json", data: Buffer.from(wrong) }]);
    await editor.tab("wrong").waitFor();
    const [sampler, decode] = [editor.node("KSampler"), editor.node("VAE Decode")];
    await editor.drag(editor.input(decode, "vae"), await editor.ground(0.5, 0.95));
    await expect.poll(() => editor.links("VAE link from Load Checkpoint to VAE Decode").count()).toBe(0);
    await editor.runButton.click();

    const choice = editor.field(sampler, "sampler_name");
    await expect.poll(() => choice.getAttribute("aria-invalid")).toBe("true");
    await expect.poll(() => sampler.getByRole("note").count()).toBe(2);
    const said = await sampler.getByRole("note").allInnerTexts();
    expect(said.join("\n")).toContain("KSampler has no choice “eulr”. Did you mean “euler”?");
    expect(said.join("\n")).toMatch(/Value: eulr · allowed: euler, /);
    expect(said.join("\n")).toContain("steps of KSampler is 99999, but 10000 is the largest value.");
    await decode.getByRole("alert").filter({ hasText: "VAE Decode needs vae" }).waitFor();

    await page.getByRole("button", { name: "2 nodes have errors" }).click();
    const panel = page.getByRole("complementary", { name: "Errors" });
    const item = panel.getByRole("listitem").filter({ hasText: "eulr" });
    expect(await item.getByRole("definition").nth(1).innerText()).toBe("eulr");
    expect(await item.getByRole("definition").nth(2).innerText()).toMatch(/^euler, euler_cfg_pp, /);
    for (const name of ["sampler_name", "steps"]) {
      await panel.getByRole("button", { name: `Show ${name} of KSampler` }).click();
      await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe(name);
    }
    await editor.closePanel();

    await editor.pick(sampler, "sampler_name", "dpmpp_2m");
    await editor.number(sampler, "steps", "4");
    await editor.fit();
    await editor.link(editor.output(editor.node("Load Checkpoint"), "VAE"), editor.input(decode, "vae"));
    await editor.run();
    await editor.pictureOf(editor.node("Save Image")).waitFor();
    expect(await sampler.getByRole("note").count()).toBe(0);
    expect(await page.getByRole("button", { name: /have errors|has errors/ }).count()).toBe(0);
    await editor.close(/400 \(Bad Request\).*\/api\/prompt$/);
  });

  test("Somebody bypasses a node, mutes another, and moves and mutes a whole frame; each run differs as it should.", async () => {
    const editor = await open();
    const { page } = editor;
    const [decode, scale, save] = [editor.node("VAE Decode"), editor.node("Upscale Image"), editor.node("Save Image")] as const;
    await editor.number(editor.node("KSampler"), "steps", "2");
    const first = await editor.run();
    expect(classes(first)).toContain("ImageScale");
    expect((await editor.pixels(editor.pictureOf(save))).width).toBe(512);

    await editor.select(scale);
    await page.keyboard.press("Control+b");
    await scale.getByText("bypassed").waitFor();
    expect(classes(await editor.run())).not.toContain("ImageScale");
    await expect.poll(async () => (await editor.pixels(editor.pictureOf(save))).width).toBe(64);
    await editor.select(scale);
    await page.keyboard.press("Control+b");

    const out = await editor.at(editor.header(decode));
    await editor.drag(editor.header(decode), { x: out.x - 40, y: out.y - 220 });

    // A second way to save, then the first way goes into a frame with what feeds it.
    await editor.link(editor.output(decode, "IMAGE"), await editor.ground(0.86, 0.75));
    await editor.found("Preview Image");
    const preview = editor.node("Preview Image");
    await preview.waitFor();
    await editor.select(scale);
    await editor.select(save, "Shift");
    await page.keyboard.press("Control+g");
    const frame = editor.frame("Frame");
    await frame.waitFor();
    const before = [await boxOf(scale), await boxOf(save), await boxOf(decode)];
    const head = await boxOf(editor.header(frame));
    await editor.drag({ x: head.x + 40, y: head.y + head.height / 2 }, { x: head.x + 40, y: head.y + head.height / 2 - 80 });
    const after = [await boxOf(scale), await boxOf(save), await boxOf(decode)];
    expect(moved(before, after)).toEqual([-80, -80, 0]);

    await editor.header(frame).hover();
    await frame.getByRole("button", { name: "Mute what is in the frame" }).click();
    await expect.poll(() => save.getByText("muted").count()).toBe(1);
    await expect.poll(() => scale.getByText("muted").count()).toBe(1);
    const muted = await editor.run();
    expect(classes(muted)).toContain("PreviewImage");
    expect(classes(muted)).not.toContain("SaveImage");
    expect((await editor.pixels(editor.pictureOf(preview))).width).toBe(64);
    await frame.getByRole("button", { name: "Mute what is in the frame" }).click();
    expect(classes(await editor.run())).toContain("SaveImage");
    await editor.close();
  });

  test("Somebody runs several at once, one node only and one before the others, takes one out and empties the queue.", async () => {
    const editor = await open();
    const { page } = editor;
    const sampler = editor.node("KSampler");
    await editor.number(sampler, "steps", "1");
    await sampler.getByRole("button", { name: "After each run, seed: Fixed" }).click();
    await page.getByRole("menuitemcheckbox", { name: "Increment" }).click();
    const options = page.getByRole("button", { name: "More ways to run" });
    const times = async (count: string): Promise<void> => {
      await options.click();
      await page.getByRole("menu").getByRole("spinbutton", { name: "Times" }).fill(count);
      await page.keyboard.press("Escape");
    };
    await times("3");
    const before = (await editor.history()).length;
    await editor.run(() => editor.runButton.click(), 3);
    const three = (await editor.history()).slice(before);
    expect(three.map(({ prompt }) => Object.values(prompt).find((node) => node.class_type === "KSampler")?.inputs["seed"])).toEqual([1, 2, 3]);
    await times("1");

    const decode = editor.node("VAE Decode");
    await decode.hover();
    const only = await editor.run(() => decode.getByRole("button", { name: "Run only up to here" }).click());
    expect(Object.keys(only.outputs).map((id) => only.prompt[id]?.class_type)).toEqual(["PreviewImage"]);
    expect((await editor.pixels(editor.pictureOf(decode))).width).toBe(64);

    // With the queue paused, everything waits to be looked at.
    const panel = await editor.panel("Jobs");
    await panel.getByRole("button", { name: "Pause the queue" }).click();
    await panel.getByText("The queue is paused").waitFor();
    await queue(editor, "Text to image");
    await editor.openTemplate("Invert");
    await editor.panel("Jobs");
    await queue(editor, "Invert");
    await editor.openTemplate("Batch");
    await editor.panel("Jobs");
    await options.click();
    await editor.choose("Run before all that waits");
    await waiting(editor, ["Batch", "Text to image", "Invert"]);
    await panel.getByRole("button", { name: "Take Text to image out of the queue" }).click();
    await waiting(editor, ["Batch", "Invert"]);
    await panel.getByRole("button", { name: "Take all 2 waiting jobs out of the queue" }).click();
    await waiting(editor, []);
    await panel.getByRole("button", { name: "Let the queue go on" }).click();
    await editor.close();
  });

  test("Somebody orders the queue, deletes and retries jobs, looks at results large, compares two, reads what changed and loads a result's workflow.", async () => {
    const editor = await open();
    const { page } = editor;
    const prompt = editor.field(editor.node("Prompt"), "text");
    await editor.number(editor.node("KSampler"), "steps", "8");
    await editor.write(prompt, "a large red heart on a white background");
    await editor.run();
    await editor.write(prompt, "a large blue circle on a yellow background");
    await editor.run();

    const panel = await editor.panel("Jobs");
    const rows = panel.getByRole("listitem");
    const look = panel.getByRole("button", { name: "Look at the pictures of Text to image" });
    await expect.poll(() => look.count()).toBeGreaterThanOrEqual(2);
    await look.first().click();
    const lightbox = page.getByRole("dialog").filter({ has: page.getByRole("toolbar", { name: "Picture" }) });
    const large = lightbox.getByRole("img", { name: /easel/ }).first();
    expect(isLike((await editor.pixels(large)).at(0.02, 0.02), COLORS.yellow, 70)).toBe(true);
    const info = lightbox.getByRole("complementary", { name: /^What made it/ });
    await info.getByLabel("before: a large red heart on a white background").waitFor();
    await info.getByLabel("after: a large blue circle on a yellow background").waitFor();
    // Both pictures, one over the other, then side by side.
    await page.keyboard.press("c");
    await lightbox.getByRole("slider", { name: "The line between the two pictures" }).waitFor();
    await page.keyboard.press("s");
    await expect.poll(() => lightbox.getByRole("figure").count()).toBe(2);
    const [a, b] = [0, 1].map((place) => lightbox.getByRole("figure").nth(place).getByRole("img")) as [Locator, Locator];
    expect(isLike((await editor.pixels(a)).at(0.02, 0.02), COLORS.white, 70)).toBe(true);
    expect(isLike((await editor.pixels(b)).at(0.02, 0.02), COLORS.yellow, 70)).toBe(true);
    await page.keyboard.press("s");
    await page.keyboard.press("+");
    await expect.poll(() => lightbox.getByRole("button", { name: "Smaller (-)" }).isEnabled()).toBe(true);
    // On to the one before it; its workflow opens in a tab of its own, with the prompt of then.
    await page.keyboard.press("ArrowRight");
    await expect.poll(async () => isLike((await editor.pixels(large)).at(0.02, 0.02), COLORS.white, 70)).toBe(true);
    await page.keyboard.press("o");
    await lightbox.waitFor({ state: "hidden" });
    await editor.tab("Text to image 2").waitFor();
    await expect.poll(() => editor.field(editor.node("Prompt"), "text").inputValue()).toBe("a large red heart on a white background");

    // Two that are chosen are compared too.
    await editor.panel("Jobs");
    await panel.getByRole("checkbox", { name: "Choose Text to image" }).nth(0).check();
    await panel.getByRole("checkbox", { name: "Choose Text to image" }).nth(1).check();
    await panel.getByRole("button", { name: "Compare the two" }).click();
    await lightbox.getByRole("slider", { name: "The line between the two pictures" }).waitFor();
    await page.keyboard.press("Escape");
    await panel.getByRole("button", { name: "Choose none" }).click();

    // A running job is stopped and run again; ended ones are deleted.
    await editor.number(editor.node("KSampler"), "steps", "3000");
    await editor.runButton.click();
    await panel.getByRole("button", { name: /^Stop Text to image/ }).click();
    const retry = panel.getByRole("button", { name: /^Run Text to image.* again$/ });
    await retry.waitFor();
    await panel.getByText("Stopped", { exact: true }).waitFor();
    await panel.getByRole("button", { name: "Pause the queue" }).click();
    await retry.first().click();
    await expect.poll(() => panel.getByRole("button", { name: /^Take Text to image.* out of the queue$/ }).count()).toBe(1);

    // Waiting jobs change places by buttons, keys and dragging.
    await editor.openTemplate("Invert");
    await editor.panel("Jobs");
    await queue(editor, "Invert");
    await editor.openTemplate("Batch");
    await editor.panel("Jobs");
    await queue(editor, "Batch");
    const names = { text: "Text to image 2", invert: "Invert", batch: "Batch" };
    await waiting(editor, [names.text, names.invert, names.batch]);
    await panel.getByRole("button", { name: "Run Batch earlier" }).click();
    await waiting(editor, [names.text, names.batch, names.invert]);
    await rows.filter({ hasText: names.text }).filter({ has: page.getByRole("button", { name: /out of the queue$/ }) }).focus();
    await page.keyboard.press("Alt+ArrowDown");
    await waiting(editor, [names.batch, names.text, names.invert]);
    const row = (name: string): Locator => rows.filter({ has: page.getByRole("button", { name: `Take ${name} out of the queue` }) });
    await row(names.invert).dragTo(row(names.batch));
    await waiting(editor, [names.invert, names.batch, names.text]);
    await panel.getByRole("button", { name: "Take all 3 waiting jobs out of the queue" }).click();
    await panel.getByRole("button", { name: "Let the queue go on" }).click();
    const gone = await editor.history();
    await panel.getByRole("button", { name: /^Delete Text to image.* from the list$/ }).first().click();
    await expect.poll(async () => (await editor.history()).length).toBe(gone.length - 1);
    await editor.close();
  });
}

const classes = ({ prompt }: Awaited<ReturnType<Editor["run"]>>): string[] => Object.values(prompt).map((node) => node.class_type);
const moved = (before: readonly { y: number }[], after: readonly { y: number }[]): number[] => after.map(({ y }, place) => Math.round((y - (before[place]?.y ?? 0)) / 8) * 8);


const queue = async (editor: Editor, name: string): Promise<void> => {
  const rows = editor.page.getByRole("complementary", { name: "Jobs" }).getByRole("button", { name: `Take ${name} out of the queue` });
  const before = await rows.count();
  await editor.runButton.click();
  await expect.poll(() => rows.count()).toBe(before + 1);
};

/** The jobs that wait, in their order. */
const waiting = async ({ page }: Editor, names: readonly string[]): Promise<void> => {
  const rows = page.getByRole("complementary", { name: "Jobs" }).getByRole("button", { name: /^Take .* out of the queue$/ });
  const shown = async (): Promise<string[]> => {
    const all = await rows.evaluateAll((buttons) => buttons.map((button) => ({ name: button.getAttribute("aria-label") ?? "", top: button.getBoundingClientRect().top })));
    return all.filter(({ name }) => !name.includes("waiting job")).sort((left, right) => left.top - right.top).map(({ name }) => name.replace(/^Take (.*) out of the queue$/, "$1"));
  };
  await expect.poll(shown).toEqual(names);
};
