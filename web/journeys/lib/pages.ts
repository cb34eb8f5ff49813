// Pages with the editor in them, and the ways in which they end.

import type { BrowserContext, Page } from "playwright-core";

/** The editor in a new page of a profile, ready to be used. */
export async function openPage(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(url);
  await isReady(page);
  return page;
}

export const isReady = (page: Page): Promise<void> => page.locator(".n-node, .welcome").first().waitFor();

/** End a page as a fault of the browser does: no event of it is heard, nothing is written any more. */
export async function crash(page: Page): Promise<void> {
  const gone = new Promise<void>((resolve) => void page.once("crash", () => resolve()));
  const session = await page.context().newCDPSession(page);
  void session.send("Page.crash").catch(() => undefined);
  await gone;
  await page.close();
}

export const nodeNamed = (page: Page, title: string) => page.locator(".react-flow__node", { has: page.locator(".n-title", { hasText: new RegExp(`^${title}$`) }) });

/** Drop a file with these bytes onto the page, as from a folder of the system. */
export async function dropFile(page: Page, name: string, content: string | Uint8Array, type = "application/json"): Promise<void> {
  const base64 = Buffer.from(content).toString("base64");
  await page.evaluate(
    ({ name, base64, type }) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const files = new DataTransfer();
      files.items.add(new File([bytes], name, { type }));
      document.querySelector(".shell")?.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files }));
    },
    { name, base64, type },
  );
}
