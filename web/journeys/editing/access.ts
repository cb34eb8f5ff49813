// For everybody: axe finds nothing serious in the main states, in both themes; every command is reached by keys; what runs is
// said aloud.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { Desk } from "../lib/desk";
import { settled, STATES } from "../lib/states";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Finding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly target: readonly string[]; readonly html: string; readonly failureSummary: string }[];
}

/** What axe finds serious or worse, one line each. */
async function findings(page: Page, rules?: readonly string[]): Promise<string[]> {
  const violations = await page.evaluate((only) => {
    const { axe } = window as unknown as { axe: { run(where: object, options: object): Promise<{ violations: Finding[] }> } };
    // What is muted is meant to be dim: it takes no part.
    return axe.run({ exclude: [[".is-mute"]] }, { resultTypes: ["violations"], ...(only === undefined ? {} : { runOnly: only }) }).then((result) => result.violations);
  }, rules);
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ target, html, failureSummary }) => `${id} ${target.join(" ")}: ${failureSummary.split("\n").slice(1).join(" ").trim()} ${html.slice(0, 400)}`));
}

export function accessJourneys(at: Desk): void {
  test("axe finds nothing serious in the main states, dark and light", async () => {
    const first = await at.openAsItIs();
    await first.run();
    await first.context.close();
    const found: Record<string, string[]> = {};
    const queue = [...STATES];
    const look = async (): Promise<void> => {
      for (let state = queue.shift(); state !== undefined; state = queue.shift()) {
        const editor = await at.openAsItIs({ colorScheme: "dark" });
        await state.open(editor, false);
        await settled(editor);
        await editor.page.evaluate(AXE);
        const lines = await findings(editor.page);
        await editor.page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
        await settled(editor);
        lines.push(...(await findings(editor.page, ["color-contrast"])).map((line) => `light: ${line}`));
        if (lines.length > 0) found[state.name] = lines;
        await editor.context.close();
      }
    };
    await Promise.all([look(), look()]);
    expect(found).toEqual({});
  });

  test("every command has a key or is found in the palette by its name, and every panel closes by Escape", async () => {
    const { page } = await at.openAsItIs();
    await page.keyboard.press("Control+k");
    const palette = page.getByRole("dialog", { name: "All commands" });
    const options = palette.getByRole("option");
    await options.first().waitFor();
    expect(await options.count()).toBeGreaterThan(40);
    await page.keyboard.press("Escape");
    for (const [key, name] of [["n", "Nodes"], ["q", "Jobs"], ["w", "Files"], ["o", "Outline"], ["Control+,", "Settings"]] as const) {
      await page.keyboard.press(key);
      const panel = page.getByRole("complementary", { name });
      await panel.waitFor();
      await panel.getByRole("button").first().focus();
      await page.keyboard.press("Escape");
      await panel.waitFor({ state: "hidden" });
    }
  });

  test("what a run does is said to those who do not see it", async () => {
    const editor = await at.openAsItIs();
    await editor.page.evaluate(() => {
      const region = document.querySelector("[role=status][aria-live=polite]");
      if (region === null) throw new Error("nobody is told anything");
      const said: string[] = [];
      Object.assign(window, { said });
      new MutationObserver(() => said.push(region.textContent)).observe(region, { childList: true, subtree: true, characterData: true });
    });
    await editor.number(editor.node("KSampler"), "steps", "31");
    await editor.run(() => editor.keys("Control+Enter"));
    await expect.poll(() => editor.page.evaluate(() => (window as unknown as { said: string[] }).said.join("\n"))).toMatch(/queued[^]*started[^]*Text to image is done/);
  });
}
