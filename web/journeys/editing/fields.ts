// Fields of nodes: pictures and masks, seeds, numbers, choices, links into fields, prompts.

import { join } from "node:path";
import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import { boxOf, COLORS, isLike, type Editor } from "../lib/editor";
import { ROOT } from "../lib/server";

const PICTURE = join(ROOT, "input", "example.png");

export function fieldsJourneys({ open }: Desk): void {
  test("Somebody uploads a picture, paints a mask on it, and only what is masked is drawn anew; the mask opens as it was saved.", async () => {
    const editor = await open();
    const { page } = editor;
    await editor.openTemplate("Paint into a picture");
    const load = editor.node("Load Image");
    const choosing = page.waitForEvent("filechooser");
    await load.getByRole("button", { name: "Upload a picture for image" }).click();
    await (await choosing).setFiles(PICTURE);
    const picture = load.getByRole("group", { name: /^Picture of image/ }).getByRole("img");
    await expect.poll(() => picture.getAttribute("alt")).toBe("example.png");
    const original = await editor.pixels(picture);

    const dialog = page.getByRole("dialog", { name: "Paint a mask" });
    const canvas = dialog.getByLabel("Picture to paint on");
    const look = (): Promise<string> => canvas.evaluate((element: HTMLCanvasElement) => element.toDataURL());
    await load.getByRole("button", { name: "Paint a mask on image" }).click();
    await canvas.waitFor();
    const clean = await look();
    // The upper half, with a large brush, back and forth.
    const size = dialog.getByRole("slider", { name: "Size" });
    await size.fill("20");
    const box = await boxOf(canvas);
    const side = Math.min(box.width, box.height);
    const [left, top] = [box.x + (box.width - side) / 2, box.y + (box.height - side) / 2];
    for (const y of [0.06, 0.12, 0.18, 0.24, 0.3, 0.36, 0.42]) {
      await editor.drag({ x: left + side * 0.03, y: top + side * y }, { x: left + side * 0.97, y: top + side * y });
    }
    // Undo takes a stroke back, redo brings it again.
    await expect.poll(look).not.toBe(clean);
    const painted = await look();
    await page.keyboard.press("Control+z");
    await expect.poll(look).not.toBe(painted);
    await page.keyboard.press("Control+Shift+z");
    await expect.poll(look).toBe(painted);
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "hidden" });
    await expect.poll(() => editor.value(load, "image")).toMatch(/clipspace\/example-masked\.png/);

    // It opens again with the very mask.
    await load.getByRole("button", { name: "Paint a mask on image" }).click();
    await expect.poll(look).toBe(painted);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });

    await editor.write(editor.field(editor.node("Prompt"), "text"), "a large blue circle above a small white heart on a red background");
    await editor.run();
    const made = await editor.pixels(editor.pictureOf(editor.node("Save Image")));
    expect(isLike(made.at(0.9, 0.05), COLORS.red, 80)).toBe(true);
    for (const [x, y] of [[0.05, 0.95], [0.95, 0.95], [0.5, 0.75]] as const) expect(isLike(made.at(x, y), original.at(x, y), 50)).toBe(true);
    await editor.close();
  });

  test("Somebody uses seeds of all 64 bits, and each of the four ways in which they change after a run.", async () => {
    const editor = await open();
    const { page } = editor;
    await editor.openTemplate("Invert");
    await editor.tab("Text to image").click();
    const sampler = editor.node("KSampler");
    const exact = "18446744073709551557";
    await editor.number(sampler, "steps", "1");
    await editor.number(sampler, "seed", exact);
    const seedSent = async (): Promise<string> => {
      await editor.run();
      // JSON in JavaScript would round the number, so it is read as text.
      const text = await (await fetch(`${editor.server.url}/history`)).text();
      return [...text.matchAll(/"seed":\s*(\d+)/g)].at(-1)?.[1] ?? "";
    };
    const mode = async (now: string, next: string): Promise<void> => {
      await sampler.getByRole("button", { name: `After each run, seed: ${now}` }).click();
      await page.getByRole("menuitemcheckbox", { name: next }).click();
    };
    const shown = (): Promise<string> => editor.value(sampler, "seed");
    expect(await shown()).toBe(exact);
    expect(await seedSent()).toBe(exact);
    expect(await shown()).toBe(exact);
    await mode("Fixed", "Increment");
    expect(await seedSent()).toBe(exact);
    await expect.poll(shown).toBe("18446744073709551558");
    await mode("Increment", "Decrement");
    expect(await seedSent()).toBe("18446744073709551558");
    await expect.poll(shown).toBe(exact);
    await mode("Decrement", "Randomize");
    expect(await seedSent()).toBe(exact);
    await expect.poll(shown).not.toBe(exact);
    const random = await shown();
    // The dice gives a new one at once; undo brings the old one back.
    await sampler.getByRole("button", { name: "New random seed" }).click();
    await expect.poll(shown).not.toBe(random);
    await page.keyboard.press("Control+z");
    await expect.poll(shown).toBe(random);
    await editor.close();
  });

  test("Somebody changes numbers by dragging and by arithmetic, searches a choice with folders, and links a field.", async () => {
    const editor = await open();
    const { page } = editor;
    const [latent, sampler, loader] = [editor.node("Empty Latent Image"), editor.node("KSampler"), editor.node("Load Checkpoint")];
    await editor.number(latent, "width", "512*2");
    expect(await editor.value(latent, "width")).toBe("1024");
    await editor.number(latent, "width", "(100+28)/2");
    expect(await editor.value(latent, "width")).toBe("64");
    // Dragging to the right makes it larger, all as one step of undo.
    const steps = await editor.at(editor.field(sampler, "steps"));
    await editor.drag(steps, { x: steps.x + 40, y: steps.y });
    const scrubbed = Number(await editor.value(sampler, "steps"));
    expect(scrubbed).toBeGreaterThan(24);
    await page.keyboard.press("Control+z");
    await expect.poll(() => editor.value(sampler, "steps")).toBe("20");
    await editor.field(sampler, "steps").focus();
    await editor.keys("ArrowUp", "ArrowUp");
    expect(await editor.value(sampler, "steps")).toBe("22");

    await editor.field(loader, "ckpt_name").click();
    const list = page.getByRole("dialog", { name: "ckpt_name" });
    await list.getByRole("option", { name: "Folder people" }).click();
    await list.getByRole("option", { name: "portraits.safetensors" }).waitFor();
    await list.getByRole("combobox").fill("port");
    await expect.poll(() => list.getByRole("option").count()).toBe(1);
    await page.keyboard.press("Enter");
    expect(await editor.value(loader, "ckpt_name")).toBe("people/portraits.safetensors");

    // A link into a field: it shows what comes in, and the server is told of the link.
    const number = await editor.add("Int", await editor.ground(0.25, 0.9));
    await editor.number(number, "value", "3");
    await editor.link(editor.output(number, "INT"), editor.input(sampler, "steps"));
    await sampler.getByRole("group", { name: /^steps, linked: Int: 3/ }).waitFor();
    const ended = await editor.run();
    const sent = Object.values(ended.prompt).find((node) => node.class_type === "KSampler");
    expect(Array.isArray(sent?.inputs["steps"])).toBe(true);
    expect(Object.values(ended.prompt).find((node) => node.class_type === "CheckpointLoaderSimple")?.inputs["ckpt_name"]).toBe("people/portraits.safetensors");
    // Taken off, the field has its own value again.
    await editor.drag(editor.input(sampler, "steps"), await editor.ground(0.5, 0.95));
    await expect.poll(() => editor.value(sampler, "steps")).toBe("22");
    await editor.close();
  });

  test("Somebody weighs words of a prompt with keys and completes the names of an embedding and a LoRA.", async () => {
    const editor = await open();
    const { page } = editor;
    const prompt = editor.field(editor.node("Prompt"), "text");
    const text = (): Promise<string> => prompt.inputValue();
    await prompt.fill("a red heart");
    await page.keyboard.press("Control+ArrowUp");
    await page.keyboard.press("Control+ArrowUp");
    expect(await text()).toBe("a red (heart:1.1)");
    await page.keyboard.press("Control+ArrowDown");
    await page.keyboard.press("Control+ArrowDown");
    expect(await text()).toBe("a red heart");
    await prompt.press("End");
    await prompt.pressSequentially(", embedding:moo");
    await offered(editor, "moonlight");
    await page.keyboard.press("Tab");
    expect(await text()).toBe("a red heart, embedding:moonlight");
    await prompt.pressSequentially(" <lora:in");
    await offered(editor, "style/ink v2");
    await page.keyboard.press("Enter");
    expect(await text()).toBe("a red heart, embedding:moonlight <lora:style/ink v2:1>");
    // The field's own undo knows all of it.
    await page.keyboard.press("Control+z");
    expect(await text()).toBe("a red heart, embedding:moonlight <lora:in");
    await editor.close();
  });
}

async function offered(editor: Editor, name: string): Promise<void> {
  await editor.page.getByRole("listbox", { name: "Names that fit" }).getByRole("option", { name, exact: true }).waitFor();
}
