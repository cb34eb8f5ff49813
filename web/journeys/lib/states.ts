// The main states of the editor, each with the way into it: what is looked at for its looks, and by axe.

import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Editor } from "./editor";
import { ROOT } from "./server";

/** The pictures that the templates begin with, for a server over `base`. */
export function withPictures(base: string): void {
  mkdirSync(join(base, "input"), { recursive: true });
  for (const name of ["example.png", "example_hole.png"]) copyFileSync(join(ROOT, "input", name), join(base, "input", name));
}

export interface State {
  readonly name: string;
  /** On a phone its way in is another one. */
  readonly isWide?: true;
  /** From the page as it opens; `phone` where the page is narrow. */
  open(editor: Editor, phone: boolean): Promise<unknown>;
}

const panel = (name: "nodes" | "jobs" | "files" | "outline" | "settings") => async ({ page }: Editor): Promise<void> => {
  await page.locator(`.rail-button[data-panel=${name}]`).click();
  await page.locator(`.side-panel[data-panel=${name}] .panel-body > *`).first().waitFor();
};
const command = (name: string) => (editor: Editor): Promise<void> => editor.command(name);

export const STATES: readonly State[] = [
  { name: "canvas", open: () => Promise.resolve() },
  {
    name: "selection",
    open: async (editor, phone) => {
      if (phone) await command("Select everything")(editor);
      else await editor.select(editor.node("KSampler"));
      await editor.page.locator(".context-bar, .c-bar").first().waitFor({ timeout: 2000 }).catch(() => undefined);
    },
  },
  { name: "nodes", open: panel("nodes") },
  {
    name: "jobs",
    open: async (editor) => {
      await panel("jobs")(editor);
      await editor.page.locator(".job-thumb").first().waitFor();
    },
  },
  {
    name: "lightbox",
    open: async (editor) => {
      await panel("jobs")(editor);
      await editor.page.locator("button.job-thumb").first().click();
      await editor.page.getByRole("dialog").waitFor();
    },
  },
  { name: "files", open: panel("files") },
  {
    name: "templates",
    open: async (editor) => {
      await editor.command("Templates");
      await editor.page.locator(".sketch rect").first().waitFor({ state: "attached" });
    },
  },
  { name: "outline", open: panel("outline") },
  { name: "settings", open: panel("settings") },
  { name: "keys", open: command("Change keys") },
  { name: "help", open: command("Help and keys") },
  {
    name: "errors",
    open: async (editor) => {
      await editor.menuOf(editor.node("VAE Decode"), "Mute").catch(() => undefined);
      await editor.runButton.click();
      await editor.command("Show or hide the errors");
    },
  },
  {
    name: "palette",
    open: async ({ page }) => {
      await page.keyboard.press("Control+k");
      await page.getByRole("dialog", { name: "All commands" }).waitFor();
    },
  },
  {
    name: "search",
    open: async (editor) => {
      await editor.command("Add a node…");
      await editor.page.getByRole("dialog", { name: "Search nodes" }).waitFor();
    },
  },
  {
    name: "menu",
    open: async ({ page }) => {
      await page.getByRole("button", { name: "Menu", exact: true }).click();
      await page.getByRole("menu").waitFor();
    },
  },
  {
    name: "question",
    open: async ({ page }) => {
      await page.keyboard.press("Control+Shift+s");
      await page.getByRole("dialog").waitFor();
    },
  },
  {
    name: "app",
    open: async (editor) => {
      if ((await editor.page.getByRole("button", { name: "Show as an app" }).count()) === 0) return;
      await editor.page.getByRole("button", { name: "Show as an app" }).click();
      await editor.page.getByRole("button", { name: "Show the graph" }).waitFor();
    },
  },
  {
    name: "mask",
    isWide: true,
    open: async (editor) => {
      await editor.command("Templates");
      await editor.page.getByRole("button", { name: /^Paint into a picture/ }).click();
      await editor.page.getByRole("button", { name: "Show the graph" }).click({ timeout: 1000 }).catch(() => undefined);
      await editor.page.getByRole("button", { name: "Paint a mask" }).first().click();
      await editor.page.getByRole("dialog", { name: "Paint a mask" }).waitFor();
    },
  },
];

/** Until nothing moves any more: parts of the page, fonts, pictures, and what is drawn after a change of size. */
export async function settled({ page }: Editor): Promise<void> {
  await expect.poll(() => page.locator("[aria-busy=true]").count()).toBe(0);
  await page.evaluate(() => document.fonts.ready);
  // Pictures that nobody has scrolled to yet are not fetched.
  const loads = (all: Element[]): boolean => all.some((image) => image.getBoundingClientRect().top < innerHeight && !(image as HTMLImageElement).complete);
  await expect.poll(() => page.locator("img").evaluateAll(loads)).toBe(false);
  await expect.poll(() => page.evaluate(() => document.getAnimations().filter((each) => each.playState === "running" && each.effect?.getComputedTiming().endTime !== Infinity).length)).toBe(0);
}
