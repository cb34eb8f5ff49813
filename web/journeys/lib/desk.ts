// What a file of journeys works at: one server and one browser for all of them, a profile of its own for each.

import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { launch, profile } from "./browser";
import { Editor } from "./editor";
import { withExamples } from "./examples";
import { Server } from "./server";

export interface Desk {
  readonly server: Server;
  readonly browser: Browser;
  /** The editor in a fresh profile, with the journeys' examples in the place of the build's; `url` where not the server's own. */
  open(options?: BrowserContextOptions, url?: string): Promise<Editor>;
  /** The editor in a fresh profile as people get it. */
  openAsItIs(options?: BrowserContextOptions): Promise<Editor>;
}

/** `prepare` puts files into the server's folder before it starts. */
export function desk(prepare?: (base: string) => void, ...options: string[]): Desk {
  let server: Server | undefined;
  let browser: Browser | undefined;
  let opened: Editor[] = [];
  const there = <T>(thing: T | undefined): T => {
    if (thing === undefined) throw new Error("the desk is not set up yet");
    return thing;
  };
  const begin = async (context: BrowserContext, url?: string): Promise<Editor> => {
    const editor = await Editor.within(context, there(server), url);
    opened.push(editor);
    return editor;
  };
  beforeAll(async () => {
    [server, browser] = await Promise.all([Server.over(prepare, ...options), launch()]);
  });
  beforeEach(() => {
    opened = [];
  });
  afterEach(async ({ task }) => {
    const failed = task.result?.state === "fail";
    // What a journey that failed saw last.
    if (failed) await Promise.all(opened.map((editor, place) => keepPicture(editor, `${task.name.slice(0, 60)} ${place}`)));
    await Promise.all(opened.map((editor) => editor.context.close()));
    if (failed) await there(server).tidy();
  });
  afterAll(async () => {
    await Promise.all([browser?.close(), server?.end()]);
  });
  return {
    get server() {
      return there(server);
    },
    get browser() {
      return there(browser);
    },
    open: async (contextOptions = {}, url = undefined) => {
      const context = await profile(there(browser), contextOptions);
      await withExamples(context);
      return begin(context, url);
    },
    openAsItIs: async (contextOptions = {}) => begin(await profile(there(browser), contextOptions)),
  };
}

async function keepPicture(editor: Editor, name: string): Promise<void> {
  const folder = process.env.EASEL_JOURNEY_PICTURES ?? join(tmpdir(), "easel-journeys");
  mkdirSync(folder, { recursive: true });
  await editor.page.screenshot({ path: join(folder, `${name.replaceAll(/[^\w ]/g, "")}.png`), timeout: 5000 }).catch(() => undefined);
}
