// Structure: subgraphs in subgraphs, notes, colours, order on the canvas, links by name, blueprints, copies, undo.

import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import { boxOf, COLORS, Editor, isLike } from "../lib/editor";

export function structureJourneys({ open }: Desk): void {
  test("Somebody makes a subgraph in a subgraph, changes its value from outside, runs it, and takes it apart again.", async () => {
    const editor = await open();
    const { page } = editor;
    await editor.number(editor.node("KSampler"), "steps", "4");
    // A link into a field makes it a field of the subgraph.
    const text = await editor.add("String", await editor.ground(0.05, 0.9));
    await editor.field(text, "value").waitFor();
    await editor.link(editor.output(text, "STRING"), editor.input(editor.node("Prompt"), "text"));
    await editor.node("Prompt").getByRole("group", { name: /^text, linked/ }).waitFor();

    const make = async (...titles: readonly string[]): Promise<void> => {
      await page.keyboard.press("Escape");
      await editor.select(editor.node(titles[0] ?? ""));
      for (const title of titles.slice(1)) await editor.select(editor.node(title), "Shift");
      await page.getByRole("toolbar", { name: "What can be done with the selection" }).getByRole("button", { name: "Make a subgraph" }).click();
      await editor.node("Subgraph").waitFor();
    };
    await make("Prompt", "Negative prompt");
    await editor.rename(editor.node("Subgraph"), "Words");
    await editor.node("Words").waitFor();
    await make("Words", "KSampler", "Empty Latent Image");
    const outer = editor.node("Subgraph");

    // In and out: by the button, the breadcrumb, a double click, Escape.
    const crumbs = page.getByRole("navigation", { name: "Where you are" });
    await outer.getByRole("button", { name: "Enter the subgraph" }).click();
    await editor.node("KSampler").waitFor();
    await editor.header(editor.node("Words")).dblclick();
    await editor.node("Negative prompt").waitFor();
    await expect.poll(() => crumbs.getByRole("button").count()).toBe(3);
    await crumbs.getByRole("button").nth(1).click();
    await editor.node("KSampler").waitFor();
    // A field inside becomes a field of the instance by a link to the inputs' last socket.
    const ends = editor.canvas.locator(".react-flow__node-end").first();
    await editor.drag(editor.input(editor.node("KSampler"), "seed"), ends.locator(".n-dot.is-ring"));
    await ends.getByText("seed").waitFor();
    // So it does by the menu of the node, and by its own.
    await editor.menuOf(editor.node("KSampler"), "Show a field on the subgraph", "cfg");
    await ends.getByText("cfg").waitFor();
    await editor.field(editor.node("KSampler"), "denoise").click({ button: "right" });
    await editor.choose("Show on the subgraph");
    await ends.getByText("denoise").waitFor();
    await editor.menuOf(editor.node("KSampler"), "Show a field on the subgraph", "denoise");
    await expect.poll(() => ends.getByText("denoise").count()).toBe(0);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await outer.waitFor();

    await editor.write(editor.field(text, "value"), "a large red heart on a white background");
    expect(await editor.value(outer, "seed")).toBe("1");
    expect(await editor.value(outer, "cfg")).toBe("4.0");
    await editor.number(outer, "seed", "77");
    const first = await editor.run();
    const sampler = Object.entries(first.prompt).find(([, node]) => node.class_type === "KSampler");
    expect(sampler?.[0]).toContain(":");
    expect(sampler?.[1].inputs["seed"]).toBe(77);
    const pixels = await editor.pixels(editor.pictureOf(editor.node("Save Image")));
    expect(pixels.share(COLORS.red, 90)).toBeGreaterThan(0.02);
    // Inside it is shown what ran inside; the instance keeps its value.
    await outer.getByRole("button", { name: "Enter the subgraph" }).click();
    await expect.poll(() => editor.node("KSampler").getByText(/^\d+(\.\d)? s$/).count()).toBe(1);
    await crumbs.getByRole("button", { name: "Workflow" }).click();

    await editor.menuOf(outer, "Unpack the subgraph");
    await editor.node("KSampler").waitFor();
    expect(await editor.value(editor.node("KSampler"), "seed")).toBe("77");
    await editor.menuOf(editor.node("Words"), "Unpack the subgraph");
    await editor.node("Negative prompt").waitFor();
    expect(await editor.node("Subgraph").count()).toBe(0);
    const second = await editor.run();
    expect(Object.keys(second.prompt).some((id) => id.includes(":"))).toBe(false);
    expect(Object.values(second.prompt).length).toBe(Object.values(first.prompt).length);
    expect(isLike((await editor.pixels(editor.pictureOf(editor.node("Save Image")))).at(0.03, 0.03), COLORS.white, 90)).toBe(true);
    await editor.close();
  });

  test("Somebody writes a note in Markdown, colours, collapses and pins nodes, aligns and distributes them and has all arranged.", async () => {
    const editor = await open();
    const { page } = editor;
    const spot = await editor.ground(0.5, 0.88);
    await page.mouse.click(spot.x, spot.y, { button: "right" });
    await editor.choose("Add a note");
    const note = editor.canvas.getByRole("group", { name: "Note", exact: true }).last();
    await note.getByText("Double-click to write").dblclick();
    await page.keyboard.type("## Shopping\n- **bold** apples\n- [a link](https://example.com/x)\n\n<b>no</b>");
    await page.keyboard.press("Escape");
    const sizeOf = (text: string): Promise<number> => note.getByText(text, { exact: true }).evaluate((element) => Number.parseFloat(getComputedStyle(element).fontSize));
    await expect.poll(() => note.getByRole("listitem").count()).toBe(2);
    expect(await sizeOf("Shopping")).toBeGreaterThan(await sizeOf("bold"));
    expect(await note.getByRole("listitem").count()).toBe(2);
    expect(await note.getByText("bold").evaluate((element) => getComputedStyle(element).fontWeight)).toMatch(/^[67]00$|bold/);
    await note.getByText("<b>no</b>").waitFor();

    const sampler = editor.node("KSampler");
    const colour = (): Promise<string> => editor.header(sampler).evaluate((element) => getComputedStyle(element).backgroundColor);
    const plain = await colour();
    await editor.menuOf(sampler, "Green");
    await expect.poll(colour).not.toBe(plain);
    const tall = (await boxOf(sampler)).height;
    await sampler.getByRole("button", { name: "Collapse" }).click();
    await expect.poll(async () => (await boxOf(editor.header(sampler))).height).toBeLessThan(tall / 3);
    expect(await sampler.getByRole("spinbutton").count()).toBe(0);
    await sampler.getByRole("button", { name: "Expand" }).click();
    await sampler.getByRole("spinbutton", { name: "steps" }).waitFor();

    await editor.select(sampler);
    await page.keyboard.press("p");
    await sampler.getByLabel("Pinned in place").waitFor();
    const pinned = await boxOf(sampler);
    await editor.drag(editor.header(sampler), { x: pinned.x + 300, y: pinned.y + 200 });
    expect((await boxOf(sampler)).x).toBe(pinned.x);
    await editor.select(sampler);
    await page.keyboard.press("p");
    await expect.poll(() => sampler.getByLabel("Pinned in place").count()).toBe(0);

    const [first, second, third] = [editor.node("Prompt"), editor.node("VAE Decode"), editor.node("Save Image")] as const;
    const three = async (): Promise<void> => {
      await page.keyboard.press("Escape");
      await editor.select(first);
      await editor.select(second, "Shift");
      await editor.select(third, "Shift");
    };
    await three();
    await editor.menuOf(first, "Align", "Align top edges");
    const tops = async (): Promise<number[]> => (await Promise.all([first, second, third].map(boxOf))).map(({ y }) => Math.round(y));
    await expect.poll(async () => new Set(await tops()).size).toBe(1);
    await editor.drag(editor.header(second), { x: (await editor.at(editor.header(second))).x - 100, y: (await editor.at(editor.header(second))).y - 120 });
    await three();
    await editor.menuOf(first, "Align", "Space evenly, left to right");
    const gaps = async (): Promise<number> => {
      const [a, b, c] = (await Promise.all([first, second, third].map(boxOf))) as [DOMRect, DOMRect, DOMRect];
      return Math.round(b.x - a.x - a.width - (c.x - b.x - b.width));
    };
    await expect.poll(async () => Math.abs(await gaps())).toBeLessThanOrEqual(8);

    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    const before = await boxOf(editor.node("Load Checkpoint"));
    await page.keyboard.press("l");
    await expect.poll(async () => (await boxOf(editor.node("Load Checkpoint"))).y !== before.y || (await boxOf(third)).x !== before.x).toBe(true);
    await editor.fit();
    const left = async (title: string): Promise<number> => (await boxOf(editor.node(title))).x;
    const order = ["Load Checkpoint", "Prompt", "KSampler", "VAE Decode", "Upscale Image", "Save Image"];
    await expect.poll(async () => {
      const places = await Promise.all(order.map(left));
      return places.every((place, at) => at === 0 || place > (places[at - 1] ?? 0));
    }).toBe(true);
    await editor.close();
  });

  test("Somebody links by name, and publishes a subgraph as a blueprint that another workflow uses.", async () => {
    const editor = await open();
    const { page } = editor;
    await editor.number(editor.node("KSampler"), "steps", "2");
    const before = (await editor.run()).prompt;
    const vae = editor.input(editor.node("VAE Decode"), "vae");
    await editor.drag(vae, await editor.ground(0.5, 0.97));
    await expect.poll(() => editor.links("VAE link from Load Checkpoint to VAE Decode").count()).toBe(0);
    const set = await editor.add("Set", await editor.ground(0.05, 0.75));
    await editor.write(editor.field(set, "name"), "the vae");
    await editor.link(editor.output(editor.node("Load Checkpoint"), "VAE"), editor.input(set, "value"));
    const get = await editor.add("Get", await editor.ground(0.55, 0.85));
    await editor.write(editor.field(get, "name"), "the vae");
    await editor.link(editor.output(get, "value"), vae);
    const linked = (await editor.run()).prompt;
    const decode = (prompt: typeof linked): unknown => Object.values(prompt).find((node) => node.class_type === "VAEDecode")?.inputs["vae"];
    expect(decode(linked)).toEqual(decode(before));
    expect(Object.keys(linked).sort()).toEqual(Object.keys(before).sort());

    await editor.select(editor.node("VAE Decode"));
    await editor.select(editor.node("Upscale Image"), "Shift");
    await page.keyboard.press("Control+Shift+g");
    const made = editor.node("Subgraph");
    await made.waitFor();
    // Inside it a node is run alone, and shows what it makes.
    await made.getByRole("button", { name: "Enter the subgraph" }).click();
    const inner = editor.node("VAE Decode");
    await inner.hover();
    const only = await editor.run(() => inner.getByRole("button", { name: "Run only up to here" }).click());
    expect(Object.keys(only.outputs).map((id) => only.prompt[id]?.class_type)).toEqual(["PreviewImage"]);
    expect((await editor.pixels(editor.pictureOf(inner))).width).toBe(64);
    await page.getByRole("navigation", { name: "Where you are" }).getByRole("button", { name: "Workflow" }).click();
    await editor.select(made);
    await editor.command("Publish as a blueprint");
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Enlarger");
    await dialog.getByRole("button", { name: "Publish" }).click();
    await editor.notice("Enlarger is a blueprint now").waitFor();
    await editor.empty();
    await editor.command("Insert a blueprint");
    await page.getByRole("complementary", { name: "Nodes" }).getByRole("button", { name: "Enlarger", exact: true }).click();
    await made.waitFor();
    await made.getByRole("button", { name: "Enter the subgraph" }).click();
    await editor.node("Upscale Image").waitFor();
    expect(await editor.value(editor.node("Upscale Image"), "width")).toBe("512");
    await editor.close();
  });

  test("Somebody copies between tabs and pages, pastes with links, drags copies, and undoes and redoes all of it.", async () => {
    const editor = await open();
    const { page } = editor;
    const samplers = (): Promise<number> => editor.node("KSampler").page().getByRole("group", { name: "KSampler", exact: true }).count();
    await editor.number(editor.node("KSampler"), "steps", "7");
    await editor.select(editor.node("KSampler"));
    await editor.select(editor.node("VAE Decode"), "Shift");
    await page.keyboard.press("Control+c");
    await editor.empty();
    await editor.canvas.click({ position: { x: 500, y: 400 } });
    await page.keyboard.press("Control+v");
    await expect.poll(samplers).toBe(1);
    expect(await editor.value(editor.node("KSampler"), "steps")).toBe("7");
    expect(await editor.links("LATENT link from KSampler to VAE Decode").count()).toBe(1);
    expect(await editor.links().count()).toBe(1);
    // Another page of the browser takes it as well.
    const other = await Editor.within(editor.context, editor.server);
    await other.empty();
    await other.canvas.click({ position: { x: 500, y: 400 } });
    await other.page.keyboard.press("Control+v");
    await expect.poll(() => other.links("LATENT link from KSampler to VAE Decode").count()).toBe(1);
    await other.page.close();

    // With its incoming links, in the workflow that it came from.
    await editor.tab("Text to image").click();
    const links = await editor.links().count();
    await page.keyboard.press("Control+Shift+v");
    await expect.poll(samplers).toBe(2);
    await expect.poll(() => editor.links().count()).toBe(links + 1 + 5);
    await page.keyboard.press("Control+z");
    await expect.poll(samplers).toBe(1);

    // Alt and drag leaves the original where it is.
    const save = editor.node("Save Image");
    const at = await boxOf(save);
    const head = await editor.at(editor.header(save));
    await editor.drag(head, { x: head.x, y: head.y + 260 }, { keys: ["Alt"] });
    await expect.poll(() => editor.page.getByRole("group", { name: "Save Image", exact: true }).count()).toBe(2);
    expect((await boxOf(editor.node("Save Image", 0))).y).toBe(at.y);
    await editor.keys("Control+z");
    await expect.poll(() => editor.page.getByRole("group", { name: "Save Image", exact: true }).count()).toBe(1);

    // Everything that was done, back and forth.
    const state = async (): Promise<string> => {
      const places = await editor.nodes().evaluateAll((nodes) => nodes.map((node) => `${node.getAttribute("aria-label") ?? ""} ${(node as HTMLElement).style.transform}`).sort());
      return JSON.stringify([places, await editor.links().count(), await editor.value(editor.node("KSampler"), "cfg").catch(() => ""), await editor.page.getByText("muted").count()]);
    };
    const states = [await state()];
    const steps: (() => Promise<unknown>)[] = [
      async () => editor.number(editor.node("KSampler"), "cfg", "5.5"),
      async () => editor.drag(editor.header(save), { x: head.x + 16, y: head.y + 96 }),
      async () => {
        await editor.select(editor.node("VAE Decode"));
        await page.keyboard.press("Control+m");
      },
      async () => editor.rename(editor.node("Prompt"), "Renamed"),
      async () => {
        await editor.select(editor.node("Upscale Image"));
        await page.keyboard.press("Delete");
      },
    ];
    for (const step of steps) {
      await step();
      await expect.poll(state).not.toBe(states.at(-1));
      states.push(await state());
    }
    for (const wanted of states.slice(0, -1).reverse()) {
      await page.keyboard.press("Control+z");
      await expect.poll(state).toBe(wanted);
    }
    for (const wanted of states.slice(1)) {
      await page.keyboard.press("Control+Shift+z");
      await expect.poll(state).toBe(wanted);
    }
    await editor.close();
  });
}
