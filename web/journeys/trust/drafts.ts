// Pages that end at any moment: what is older than a second is there again.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";
import { expect, test } from "vitest";
import { EXECUTABLE, FLAGS, profile } from "../lib/browser";
import type { Desk } from "../lib/desk";
import { crash, nodeNamed, openPage } from "../lib/pages";

/** What may be lost, in milliseconds. */
const PROMISED = 1000;

/** Numbers that look like chance and are the same each time. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** An edit that can be made over and over, and how many of it a page shows. */
interface Edit {
  prepare(page: Page): Promise<unknown>;
  make(page: Page, number: number): Promise<unknown>;
  count(page: Page): Promise<number>;
}

const prompt = (page: Page) => nodeNamed(page, "Prompt").locator("textarea");
const EDITS: Record<string, Edit> = {
  words: {
    prepare: (page) => prompt(page).fill("_"),
    make: (page, number) => page.keyboard.type(`${number} `),
    count: async (page) => {
      const words = (await prompt(page).inputValue()).slice(1).split(" ").filter(Boolean).map(Number);
      // The last word may be half there: the page ended between two letters.
      return words.filter((word, place) => word === place).length;
    },
  },
  nodes: {
    prepare: (page) => nodeNamed(page, "VAE Decode").last().locator(".n-head").click(),
    make: (page) => page.keyboard.press("Control+d"),
    count: async (page) => {
      const text = await page.locator(".status-line").innerText();
      return Number(/(\d+) nodes/.exec(text)?.[1] ?? 0) - 9;
    },
  },
};

interface Made {
  readonly number: number;
  readonly time: number;
}

/** Edit until `end` has happened; answers when each edit was made. */
async function editUntil(page: Page, edit: Edit, from: number, end: Promise<unknown>): Promise<Made[]> {
  const made: Made[] = [];
  let over = false;
  void end.then(() => (over = true));
  try {
    for (let number = from; !over; number++) {
      await edit.make(page, number);
      made.push({ number, time: Date.now() });
      await page.waitForTimeout(20);
    }
  } catch {
    // the page is gone
  }
  return made;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Kill the page in the middle of editing, open it again and see what is there; answers how many edits are. */
async function killAndLook(url: string, context: BrowserContext, page: Page, edit: Edit, from: number, wait: number): Promise<{ page: Page; count: number }> {
  const kill = pause(wait).then(() => {
    const time = Date.now();
    return crash(page).then(() => time);
  });
  const made = await editUntil(page, edit, from, kill);
  const killed = await kill;
  const again = await openPage(context, url);
  const old = made.filter(({ time }) => time <= killed - PROMISED).length;
  await expect.poll(() => edit.count(again), { message: `${from} edits before, ${old} older than a second` }).toBeGreaterThanOrEqual(from + old);
  const count = await edit.count(again);
  expect(count).toBeLessThanOrEqual(from + made.length + 1);
  return { page: again, count };
}

async function killing(url: string, context: BrowserContext, edit: Edit, rounds: number, random: () => number): Promise<void> {
  let page = await openPage(context, url);
  await edit.prepare(page);
  await pause(PROMISED);
  let count = 0;
  for (let round = 0; round < rounds; round++) {
    ({ page, count } = await killAndLook(url, context, page, edit, count, 50 + random() * 1900));
    if (edit === EDITS["words"]) {
      await prompt(page).fill(`_${Array.from({ length: count }, (_, number) => `${number} `).join("")}`);
      await prompt(page).press("Control+End");
    } else await edit.prepare(page);
  }
  await context.close();
}

async function portOf(read: () => string): Promise<string> {
  for (let tries = 0; tries < 300; tries++) {
    try {
      const found = read();
      if (found !== "") return found;
    } catch {
      // not yet
    }
    await pause(50);
  }
  throw new Error("the browser did not start");
}

export function draftsJourneys(at: Desk): void {
  test("killed at 20 random moments, a page comes back with all that is older than a second", async () => {
    const contexts = await Promise.all(Array.from({ length: 4 }, () => profile(at.browser)));
    await Promise.all(contexts.map((context, place) => killing(at.server.url, context, EDITS[place % 2 === 0 ? "words" : "nodes"] as Edit, 5, chance(place + 1))));
  });

  test("where the browser has no IndexedDB, the server's copy comes back", async () => {
    const context = await profile(at.browser);
    await context.addInitScript(() => Object.defineProperty(window, "indexedDB", { value: undefined }));
    await killing(at.server.url, context, EDITS["words"] as Edit, 3, chance(7));
  });

  test("where the browser forbids all storages, the editor works and the server keeps the drafts", async () => {
    const context = await profile(at.browser);
    await context.addInitScript(() => {
      for (const name of ["indexedDB", "localStorage", "sessionStorage"]) {
        Object.defineProperty(window, name, { get: () => { throw new DOMException("denied", "SecurityError"); } });
      }
    });
    const page = await openPage(context, at.server.url);
    await prompt(page).fill("kept");
    await expect.poll(() => page.locator(".tab-name").first().getAttribute("aria-label")).toContain("not saved");
    await context.close();
  });

  test("while the server is gone, the browser keeps it; it is back when the server is", async () => {
    const context = await profile(at.browser);
    const page = await openPage(context, at.server.url);
    await prompt(page).fill("before");
    await at.server.down();
    await prompt(page).fill("while it was gone");
    await page.getByText("The server does not answer.").waitFor();
    await pause(PROMISED);
    await crash(page);
    await at.server.up();
    const again = await openPage(context, at.server.url);
    await expect.poll(() => prompt(again).inputValue()).toBe("while it was gone");
    await context.close();
  });

  test("when the whole browser is killed, the tab and a closed one are there in the next one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "easel-profile-"));
    const start = async (): Promise<{ context: BrowserContext; kill: () => Promise<void> }> => {
      rmSync(join(folder, "DevToolsActivePort"), { force: true });
      const child = spawn(EXECUTABLE, [...FLAGS, "--headless=new", "--no-first-run", "--window-size=1600,1000", `--user-data-dir=${folder}`, "--remote-debugging-port=0", "about:blank"], { stdio: "ignore", detached: true });
      const port = await portOf(() => readFileSync(join(folder, "DevToolsActivePort"), "utf8").split("\n")[0] ?? "");
      const other = await chromium.connectOverCDP(`http://127.0.0.1:${port}`);
      const context = other.contexts()[0];
      if (context === undefined) throw new Error("the browser has no profile");
      const kill = async (): Promise<void> => {
        const gone = new Promise((resolve) => child.once("exit", resolve));
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL"); // with all that it started
        await gone;
      };
      return { context, kill };
    };
    const first = await start();
    const page = await openPage(first.context, at.server.url);
    await prompt(page).fill("of the browser that was killed");
    await page.getByRole("button", { name: "New workflow" }).click();
    await page.getByRole("button", { name: /^Close Untitled/ }).click();
    await pause(PROMISED);
    await first.kill();
    const second = await start();
    const again = await openPage(second.context, at.server.url);
    await expect.poll(() => prompt(again).inputValue()).toBe("of the browser that was killed");
    await second.kill();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
  });
}
