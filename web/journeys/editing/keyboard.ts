// Without a mouse, on a phone, and as people like it: keys, outline, app mode, settings, palette.

import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import { COLORS, isLike, type Editor } from "../lib/editor";

const focused = ({ page }: Editor): Promise<string> =>
  page.evaluate(() => {
    const element = document.activeElement;
    const label = element instanceof HTMLSelectElement ? element.labels[0]?.firstElementChild?.textContent : undefined;
    return element?.getAttribute("aria-label") ?? label ?? element?.textContent?.trim() ?? "";
  });

/** Press a key; the focus has moved by the time the page is drawn. */
async function press({ page }: Editor, key: string): Promise<void> {
  await page.keyboard.press(key);
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
}

/** Press a key until the focus is on what is called so. */
async function until(editor: Editor, key: string, name: RegExp, most = 40): Promise<void> {
  for (let count = 0; count < most; count++) {
    if (name.test(await focused(editor))) return;
    await press(editor, key);
  }
  expect(await focused(editor)).toMatch(name);
}

export function keyboardJourneys({ open, openAsItIs }: Desk): void {
  test("Somebody without a mouse opens a template, changes its prompt and runs it.", async () => {
    const editor = await openAsItIs();
    const { page } = editor;
    await page.keyboard.press("Control+k");
    await page.locator("[role=dialog] input:focus").waitFor();
    await page.keyboard.type("templates");
    await page.getByRole("option", { name: "Templates" }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("complementary", { name: "Files" }).getByRole("searchbox").waitFor();
    await until(editor, "Tab", /^Search templates$/);
    await page.keyboard.type("invert");
    await until(editor, "Tab", /^Invert/);
    await page.keyboard.press("Enter");
    await expect.poll(() => editor.title()).toBe("Invert");
    // Tab goes to the canvas, from node to node in the order in which they run, Enter goes into the fields.
    await until(editor, "Tab", /^Prompt$/);
    await press(editor, "Enter");
    await until(editor, "Tab", /^text$/);
    await page.keyboard.press("Control+a");
    await page.keyboard.type("a large red heart on a white background");
    await editor.run(() => page.keyboard.press("Control+Enter"));
    const [plain, inverted] = await Promise.all([0, 1].map((place) => editor.pixels(editor.pictureOf(editor.node("Save Image", place)))));
    const [white, black] = isLike(plain?.at(0.02, 0.02) ?? [0, 0, 0], COLORS.white, 90) ? [plain, inverted] : [inverted, plain];
    expect(white?.share(COLORS.red, 90)).toBeGreaterThan(0.02);
    expect(isLike(black?.at(0.02, 0.02) ?? [255, 255, 255], COLORS.black, 90)).toBe(true);
    await editor.close();
  });

  test("Somebody edits the graph in the outline by keyboard alone: adds, links, sets a value, renames and deletes.", async () => {
    const editor = await open();
    const { page } = editor;
    await page.keyboard.press("o");
    const outline = page.getByRole("complementary", { name: "Outline" });
    await outline.getByRole("button", { name: /^Save Image/ }).waitFor();
    // From anywhere in the list, Insert goes to where nodes are added.
    await until(editor, "Tab", /^Add a node$/);
    await page.keyboard.type("invert image");
    await outline.getByRole("option", { name: /^Invert Image/ }).waitFor();
    await page.keyboard.press("Enter");
    await expect.poll(() => focused(editor)).toMatch(/^Invert Image #/);
    await page.getByRole("status").filter({ hasText: "Invert Image is added" }).waitFor({ state: "attached" });

    // What feeds it is chosen from what fits.
    await until(editor, "Tab", /^image$/);
    await page.keyboard.type("Upscale");
    await page.keyboard.press("Enter");
    await expect.poll(() => editor.links("IMAGE link from Upscale Image to Invert Image").count()).toBe(1);

    const row = outline.getByRole("button", { name: /^KSampler #/ });
    await outline.getByRole("button", { name: /^Load Checkpoint #/ }).focus();
    await until(editor, "ArrowDown", /^KSampler #/);
    await page.keyboard.press("ArrowRight");
    await until(editor, "Tab", /^steps$/);
    await page.keyboard.type("3");
    await page.keyboard.press("Enter");
    await expect.poll(() => editor.value(editor.node("KSampler"), "steps")).toBe("3");

    await row.focus();
    await page.keyboard.press("F2");
    await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).waitFor();
    await page.keyboard.type("Painter");
    await page.keyboard.press("Enter");
    await outline.getByRole("button", { name: /^Painter #/ }).waitFor();
    await editor.node("Painter").waitFor();

    await outline.getByRole("button", { name: /^Invert Image #/ }).focus();
    await page.keyboard.press("m");
    await outline.getByRole("button", { name: /^Invert Image #.*muted/ }).waitFor();
    await page.keyboard.press("Delete");
    await expect.poll(() => outline.getByRole("button", { name: /^Invert Image/ }).count()).toBe(0);
    await expect.poll(() => focused(editor)).toMatch(/#\d+/);
    await editor.run(() => page.keyboard.press("Control+Enter"));
    await editor.pictureOf(editor.node("Save Image")).waitFor();
    await editor.close();
  });

  test("Somebody with a phone opens the form of a workflow, fills it in, runs it and sees the result.", async () => {
    const editor = await openAsItIs({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    const { page } = editor;
    await page.getByRole("button", { name: "Show as an app" }).tap();
    const form = page.getByRole("main");
    const prompt = form.getByRole("region", { name: /^Prompt/ });
    await prompt.getByRole("textbox").fill("a large red heart on a white background");
    await editor.run(() => form.getByRole("button", { name: "Run", exact: true }).tap());
    const picture = page.getByRole("region", { name: "Results" }).getByRole("img", { name: /easel/ });
    const pixels = await editor.pixels(picture);
    expect(pixels.share(COLORS.red, 90)).toBeGreaterThan(0.02);
    const box = await picture.boundingBox();
    expect(box?.width ?? 0).toBeGreaterThan(250);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await page.getByRole("button", { name: "Show the graph" }).tap();
    await editor.node("KSampler").waitFor();
    await editor.close();
  });

  test("Somebody finds commands in the palette, with their keys, and nodes, values and what lies in subgraphs by searching the workflow.", async () => {
    const editor = await open();
    const { page } = editor;
    await page.keyboard.press("Control+k");
    const palette = page.getByRole("dialog", { name: "All commands" });
    await palette.getByRole("combobox").fill("dup workflow");
    const first = palette.getByRole("option").first();
    await expect.poll(() => first.innerText()).toContain("Duplicate workflow");
    await palette.getByRole("combobox").fill("undo");
    await palette.getByRole("combobox").fill("fit all");
    await expect.poll(() => first.locator("kbd").innerText()).toBe("F");
    await page.keyboard.press("Escape");
    await palette.waitFor({ state: "hidden" });
    await editor.command("Switch between dark and light");
    await editor.command("Duplicate workflow");
    await expect.poll(() => editor.title()).toBe("Text to image copy");

    // Into a subgraph, so that the search has to go down.
    await editor.select(editor.node("KSampler"));
    await page.keyboard.press("Control+Shift+g");
    await editor.node("Subgraph").waitFor();
    await page.keyboard.press("Control+f");
    const find = page.getByRole("dialog");
    await find.getByRole("combobox").fill("karras");
    await find.getByRole("option", { name: /scheduler/ }).waitFor();
    await page.keyboard.press("Enter");
    await editor.node("KSampler").waitFor();
    await expect.poll(() => page.getByRole("navigation", { name: "Where you are" }).getByRole("button").count()).toBe(2);
    await page.keyboard.press("Control+f");
    await find.getByRole("combobox").fill("yellow background");
    await page.keyboard.press("Enter");
    await editor.node("Prompt").waitFor();
    await expect.poll(() => editor.node("Prompt").getAttribute("class")).toContain("selected");
    await editor.close();
  });

  test("Somebody sets theme, density, language and a key that another command has, and all of it is there after a reload.", async () => {
    const editor = await open({ colorScheme: "dark" });
    const { page } = editor;
    const look = (): Promise<(string | undefined)[]> => page.evaluate(() => {
      const { theme, density } = document.documentElement.dataset;
      return [theme, density, document.documentElement.lang];
    });
    expect(await look()).toEqual(["dark", "compact", "en"]);
    const height = async (): Promise<number> => (await page.getByRole("spinbutton", { name: "steps" }).boundingBox())?.height ?? 0;
    const compact = await height();
    const panel = await editor.panel("Settings");
    await panel.getByRole("button", { name: "Keys" }).click();
    await panel.getByRole("searchbox").fill("minimap");
    await panel.getByRole("button", { name: /Show or hide the minimap/ }).click();
    await page.keyboard.press("o");
    const question = page.getByRole("dialog").filter({ hasText: "O belongs to “Show or hide the outline”" });
    await question.getByRole("button", { name: "Take it" }).click();
    await question.waitFor({ state: "hidden" });
    await panel.getByRole("button", { name: "General" }).click();
    await panel.getByLabel("Theme").selectOption("light");
    await panel.getByLabel("Density").selectOption("comfortable");
    await panel.getByLabel("Language").selectOption("zh");
    await expect.poll(look).toEqual(["light", "comfortable", "zh"]);
    await page.getByRole("button", { name: "运行" }).first().waitFor();
    const background = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();

    await page.reload();
    await page.getByRole("button", { name: "运行" }).first().waitFor();
    await expect.poll(look).toEqual(["light", "comfortable", "zh"]);
    expect(await background()).toBe(light);
    expect(await height()).toBeGreaterThan(compact);
    const canvas = page.getByRole("application").first();
    await canvas.click({ position: { x: 700, y: 780 } });
    const maps = page.locator(".react-flow__minimap, .c-minimap");
    const shown = await maps.count();
    await page.keyboard.press("o");
    await expect.poll(() => maps.count()).toBe(1 - shown);
    expect(await page.getByRole("complementary").count()).toBe(0);
    // And all as it came, for everybody whom this server serves.
    await page.getByRole("navigation").getByRole("button", { name: "设置" }).click();
    await page.getByRole("button", { name: "重置所有设置" }).click();
    await expect.poll(look).toEqual(["dark", "compact", "en"]);
    await editor.close();
  });
}

// The last one: what it sets is kept by the server for everybody.
