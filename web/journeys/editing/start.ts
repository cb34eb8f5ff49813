// The first start: what somebody sees and does who has never used Easel.

import { expect, test } from "vitest";
import { profile } from "../lib/browser";
import type { Desk } from "../lib/desk";
import { COLORS, isLike, type Editor } from "../lib/editor";

export function startJourneys(at: Desk): void {
  test("Somebody starts Easel for the first time, presses Run and has a picture; a second Run takes it from the cache.", async () => {
    const editor = await at.openAsItIs();
    const sampler = editor.node("KSampler");
    const save = editor.node("Save Image");
    expect(await editor.title()).toBe("Text to image");
    const prompt = editor.node("Prompt").getByRole("textbox");
    await editor.write(prompt, "a large red heart on a white background");

    const seen = watchStates(editor);
    await editor.run();
    await seen.then((states) => expect(states).toEqual({ progress: true, preview: true, running: true, waiting: true }));
    const pixels = await editor.pixels(editor.pictureOf(save));
    expect([pixels.width, pixels.height]).toEqual([512, 512]);
    expect(pixels.share(COLORS.red)).toBeGreaterThan(0.03);
    expect(isLike(pixels.at(0.03, 0.03), COLORS.white)).toBe(true);
    await expect.poll(() => sampler.getByText(/^\d+(\.\d)? s$/).count()).toBe(1);

    await editor.run();
    for (const node of [sampler, save, editor.node("Prompt")]) await node.getByLabel("Unchanged, from the cache").waitFor();
    await editor.close();
  });

  test("Somebody opens the page of a server that is still reading its nodes: it says so, and is ready once they are there.", async () => {
    const context = await profile(at.browser);
    let tell = (): void => undefined;
    const told = new Promise<void>((resolve) => (tell = resolve));
    await context.route("**/object_info", (route) => told.then(() => route.continue()));
    const page = await context.newPage();
    await page.goto(at.server.url);
    await page.getByRole("status").getByText("Reading the node types…").waitFor();
    tell();
    await page.getByRole("group", { name: "KSampler", exact: true }).waitFor();
    expect(await page.getByText("Reading the node types…").count()).toBe(0);
    await context.close();
  });
}

/** Which of the signs of a run are seen while it runs. */
async function watchStates({ page }: Editor): Promise<Record<string, boolean>> {
  const seen = (await page.evaluateHandle(() => {
    const found: Record<string, boolean> = {};
    const look = (): void => {
      const progress = document.querySelector("[role=progressbar][aria-label='Progress of the run']");
      if (Number(progress?.getAttribute("aria-valuenow")) > 0) found["progress"] = true;
      if (document.querySelector(".react-flow__node img[src^='blob:']") !== null) found["preview"] = true;
      if (document.querySelector("[role=progressbar][aria-label='Progress of KSampler']") !== null) found["running"] = true;
      if (document.querySelector(".react-flow__node [aria-label=Waits]") !== null) found["waiting"] = true;
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
    return found;
  })) as unknown as { jsonValue(): Promise<Record<string, boolean>> };
  await page.waitForFunction((found) => Object.keys(found as object).length === 4, seen as never);
  return seen.jsonValue();
}
