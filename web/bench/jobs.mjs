// The panel of jobs with 10,000 that have ended and 200 that wait: `node bench/jobs.mjs` prints frames a second while it is
// scrolled, as a list and as a gallery, and how many elements that takes. It fails under 40 frames a second.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build, preview } from "vite";
import { frames, LEAST } from "./windows.mjs";

const MOST_ELEMENTS = 3000;
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const outDir = mkdtempSync(join(tmpdir(), "easel-bench-"));

await build({ root, logLevel: "error", build: { outDir, emptyOutDir: true, rollupOptions: { input: join(root, "bench/jobs.html") } } });
const server = await preview({ root, logLevel: "error", build: { outDir }, preview: { port: 0, host: "127.0.0.1" } });
const browser = await chromium.launch({
  executablePath: process.env["EASEL_CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });

// There is no server behind it: all pictures are the same pixel.
const pixel = Buffer.from("R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==", "base64");
await page.route("**/api/**", (route) => route.fulfill({ contentType: "image/gif", body: pixel }));

try {
  await page.goto(`${server.resolvedUrls?.local[0] ?? ""}bench/jobs.html?jobs=10000&waiting=200`);
  await page.locator(".job-thumb").first().waitFor();
  const figures = { jobs: 10_000, waiting: 200 };
  await page.mouse.move(300, 600);
  figures.list = await frames(page, () => page.mouse.wheel(0, 160));
  await page.locator("[data-panel=jobs] .jobs-tools button, [data-panel=jobs] button[aria-pressed]").last().click();
  await page.mouse.move(300, 600);
  figures.gallery = await frames(page, () => page.mouse.wheel(0, 160));
  figures.elements = await page.evaluate(() => document.querySelectorAll("*").length);
  console.log(JSON.stringify(figures));
  const faults = [
    ...["list", "gallery"].filter((name) => figures[name].fps < LEAST).map((name) => `${name}: ${figures[name].fps} frames a second, under ${LEAST}`),
    ...(figures.elements > MOST_ELEMENTS ? [`${figures.elements} elements, more than ${MOST_ELEMENTS}`] : []),
  ];
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await browser.close();
  await server.close();
  rmSync(outDir, { recursive: true });
}
