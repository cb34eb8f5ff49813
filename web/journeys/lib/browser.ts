// Chromium, and pages in it that must neither complain nor ask anybody but their own server.

import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";

export const EXECUTABLE = process.env.EASEL_CHROMIUM ?? "/usr/bin/chromium";
export const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];

/** What a page asked of others, and what it complained of. */
export interface Watched {
  readonly outside: string[];
  readonly complaints: string[];
}

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });

/** A profile of its own (cookies, drafts, settings). */
export const profile = (browser: Browser, options: BrowserContextOptions = {}): Promise<BrowserContext> =>
  browser.newContext({ viewport: { width: 1600, height: 1000 }, reducedMotion: "reduce", permissions: ["clipboard-read", "clipboard-write"], ...options });

/** Watch a page: requests to anybody but `url`, errors in the console, uncaught exceptions. */
export function watch(page: Page, url: string): Watched {
  const watched: Watched = { outside: [], complaints: [] };
  const own = new URL(url).host;
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (asked.host !== own && !["data:", "blob:"].includes(asked.protocol)) watched.outside.push(request.url());
  });
  page.on("console", (message) => {
    // That a file of the user is not there is an answer like any other; the browser counts it as an error.
    if (message.text().includes("404") && message.location().url.includes("/api/userdata")) return;
    if (message.type() === "error") watched.complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => watched.complaints.push(String(error)));
  return watched;
}
