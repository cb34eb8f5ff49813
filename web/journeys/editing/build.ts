// Building a graph by hand: search, links, and what is done with links.

import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import { boxOf, COLORS, isLike } from "../lib/editor";

export function buildJourneys({ open }: Desk): void {
  test("Somebody builds text-to-image from nothing, by searching nodes and dragging links, and it makes a picture.", async () => {
    const editor = await open();
    const { page } = editor;
    await editor.empty();
    const loader = await editor.add("Load Checkpoint", await editor.ground(0.06, 0.2));

    // Tab searches where the pointer is.
    const below = await editor.ground(0.06, 0.5);
    await page.mouse.move(below.x, below.y);
    await page.mouse.click(below.x, below.y);
    await page.keyboard.press("Tab");
    await editor.found("Empty Latent Image");
    const latent = editor.node("Empty Latent Image");
    await expect.poll(() => latent.count()).toBe(1);

    // A link dropped on empty ground searches only what can take it.
    await editor.link(editor.output(loader, "CLIP"), await editor.ground(0.3, 0.2));
    const search = page.getByRole("dialog", { name: "Search nodes" });
    await search.getByRole("button", { name: "takes CLIP" }).waitFor();
    expect(await search.getByRole("option", { name: /^VAE Decode/ }).count()).toBe(0);
    await editor.found("CLIP Text Encode");
    const positive = editor.node("CLIP Text Encode (Prompt)", 0);
    await editor.link(editor.output(loader, "CLIP"), await editor.ground(0.3, 0.5));
    await editor.found("CLIP Text Encode");
    const negative = editor.node("CLIP Text Encode (Prompt)", 1);
    expect(await editor.links("CLIP link from Load Checkpoint to CLIP Text Encode (Prompt)").count()).toBe(2);

    const sampler = await editor.add("KSampler", await editor.ground(0.56, 0.2));
    await editor.link(editor.output(loader, "MODEL"), editor.input(sampler, "model"));
    await editor.link(editor.output(positive, "CONDITIONING"), editor.input(sampler, "positive"));
    await editor.link(editor.output(negative, "CONDITIONING"), editor.input(sampler, "negative"));
    // Dropped on the body of the node, a link finds its input.
    await editor.link(editor.output(latent, "LATENT"), editor.header(sampler));
    const decode = await editor.add("VAE Decode", await editor.ground(0.76, 0.2));
    await editor.link(editor.output(sampler, "LATENT"), editor.input(decode, "samples"));
    await editor.link(editor.output(loader, "VAE"), editor.input(decode, "vae"));
    await editor.link(editor.output(decode, "IMAGE"), await editor.ground(0.8, 0.4));
    await editor.found("Save Image");
    await expect.poll(() => editor.links().count()).toBe(9);

    await editor.write(editor.field(positive, "text"), "a large red heart on a white background");
    await editor.number(latent, "width", "64");
    await editor.number(latent, "height", "64");
    await editor.number(sampler, "steps", "12");
    await editor.number(sampler, "cfg", "4");
    const ended = await editor.run();
    expect(Object.values(ended.prompt).map((node) => node.class_type).sort()).toEqual(
      ["CLIPTextEncode", "CLIPTextEncode", "CheckpointLoaderSimple", "EmptyLatentImage", "KSampler", "SaveImage", "VAEDecode"],
    );
    const pixels = await editor.pixels(editor.pictureOf(editor.node("Save Image")));
    expect([pixels.width, pixels.height]).toEqual([64, 64]);
    expect(pixels.share(COLORS.red)).toBeGreaterThan(0.03);
    expect(isLike(pixels.at(0.03, 0.03), COLORS.white)).toBe(true);
    await editor.close();
  });

  test("Somebody works on links: only what fits lights up; a node goes into a link; links are cut, bent, moved and hidden.", async () => {
    const editor = await open();
    const { page } = editor;
    const [loader, sampler, decode, scale, save] = ["Load Checkpoint", "KSampler", "VAE Decode", "Upscale Image", "Save Image"].map((name) => editor.node(name)) as [
      ReturnType<typeof editor.node>, ReturnType<typeof editor.node>, ReturnType<typeof editor.node>, ReturnType<typeof editor.node>, ReturnType<typeof editor.node>,
    ];
    const before = await editor.links().count();

    // Only what fits lights up while a link is drawn.
    await editor.drag(editor.output(loader, "VAE"), await editor.ground(0.4, 0.95), { hold: true });
    const lit = editor.canvas.locator(".n-dot.is-lit");
    await expect.poll(() => lit.evaluateAll((dots) => dots.map((dot) => dot.getAttribute("aria-label")))).toEqual(["Input vae, VAE"]);
    await page.keyboard.press("Escape");
    await page.mouse.up();
    await expect.poll(() => lit.count()).toBe(0);
    expect(await editor.links().count()).toBe(before);

    // A node that is dropped on a link goes into it.
    const invert = await editor.add("Invert Image", await editor.ground(0.5, 0.9));
    const wire = editor.links("IMAGE link from VAE Decode to Upscale Image");
    await expect.poll(() => wire.count()).toBe(1);
    const to = await editor.links("IMAGE link from Upscale Image to Save Image").evaluate(middleOf);
    const head = await boxOf(editor.header(invert));
    await editor.drag({ x: head.x + head.width / 2, y: head.y + head.height / 2 }, { x: to.x, y: to.y - 8 });
    await editor.links("IMAGE link from Upscale Image to Invert Image").waitFor({ state: "attached" });
    await editor.links("IMAGE link from Invert Image to Save Image").waitFor({ state: "attached" });
    await page.keyboard.press("Control+z");
    await expect.poll(() => editor.links("IMAGE link from Upscale Image to Save Image").count()).toBe(1);
    await page.keyboard.press("Control+z");
    await expect.poll(() => invert.count()).toBe(0);

    // A stroke with Alt cuts what it crosses.
    const crossed = await editor.links("IMAGE link from Upscale Image to Save Image").evaluate(middleOf);
    await editor.drag({ x: crossed.x, y: crossed.y - 60 }, { x: crossed.x, y: crossed.y + 60 }, { keys: ["Alt"] });
    await expect.poll(() => editor.links("IMAGE link from Upscale Image to Save Image").count()).toBe(0);
    await page.keyboard.press("Control+z");
    await expect.poll(() => editor.links("IMAGE link from Upscale Image to Save Image").count()).toBe(1);

    // A double click bends a link; the bend can be dragged, and taken out by another.
    await page.mouse.dblclick(crossed.x, crossed.y);
    const bend = editor.canvas.locator(".react-flow__node-reroute");
    await expect.poll(() => bend.count()).toBe(1);
    await editor.drag(bend, { x: crossed.x, y: crossed.y + 90 });
    await expect.poll(async () => Math.round((await editor.at(bend)).y - crossed.y)).toBeGreaterThan(70);
    await bend.dblclick();
    await expect.poll(() => bend.count()).toBe(0);

    // The end of a link moves to another input, and off into nothing.
    await editor.drag(editor.input(save, "images"), editor.input(scale, "image"));
    await expect.poll(() => editor.links("IMAGE link from Upscale Image to Save Image").count()).toBe(1);
    await editor.drag(editor.input(sampler, "positive"), editor.input(sampler, "negative"));
    await expect.poll(() => editor.links("CONDITIONING link from Prompt to KSampler").count()).toBe(1);
    expect(await editor.links("CONDITIONING link from Negative prompt to KSampler").count()).toBe(0);
    await editor.drag(editor.input(sampler, "negative"), await editor.ground(0.5, 0.95));
    await expect.poll(() => editor.links("CONDITIONING link from Prompt to KSampler").count()).toBe(0);
    await editor.keys("Control+z", "Control+z");
    await expect.poll(() => editor.links().count()).toBe(before);

    // A link is hidden by its menu, and shown again.
    const link = editor.links("IMAGE link from Upscale Image to Save Image");
    const drawn = (): Promise<string> => link.evaluate((path) => getComputedStyle(path.parentElement?.querySelector(".l-line") ?? path).opacity);
    const visible = Number(await drawn());
    await page.mouse.click(crossed.x, crossed.y, { button: "right" });
    await editor.choose("Hide this link");
    await page.keyboard.press("Escape");
    await page.mouse.move(2, 500);
    await expect.poll(drawn).toBe("0");
    await editor.select(save);
    await expect.poll(async () => Number(await drawn())).toBeGreaterThan(0.5);
    await page.mouse.click(crossed.x, crossed.y, { button: "right" });
    await editor.choose("Show this link always");
    await page.keyboard.press("Escape");
    await page.mouse.move(2, 500);
    await expect.poll(async () => Number(await drawn())).toBe(visible);
    expect(await decode.count()).toBe(1);
    await editor.close();
  });
}

/** The middle of a line that is drawn, on the page. */
function middleOf(element: Element): { x: number; y: number } {
  const path = element as SVGPathElement;
  const { x, y } = path.getPointAtLength(path.getTotalLength() / 2);
  const matrix = path.getScreenCTM();
  return matrix === null ? { x, y } : { x: matrix.a * x + matrix.e, y: matrix.d * y + matrix.f };
}
