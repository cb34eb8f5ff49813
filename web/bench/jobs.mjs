// The panel of jobs with 10,000 that have ended and 200 that wait: `node bench/jobs.mjs` prints frames a second while it is
// scrolled, as a list and as a gallery, and how many elements that takes. It fails under 40 frames a second.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build, preview } from "vite";

const LEAST_FPS = 40;
const MOST_ELEMENTS = 3000;
const SECONDS = 3;
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const outDir = mkdtempSync(join(tmpdir(), "easel-bench-"));

await build({ root, logLevel: "error", build: { outDir, emptyOutDir: true, rollupOptions: { input: join(root, "bench/jobs.html") } } });
const server = await preview({ root, logLevel: "error", build: { outDir }, preview: { port: 0, host: "127.0.0.1" } });
const browser = await chromium.launch({
  executablePath: process.env["EASEL_CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });

/** Frames a second while the list is scrolled, the better of two tries: the machine may be busy with something else. */
async function scrolled() {
  const rates = [];
  for (let turn = 0; turn < 2 && !rates.some((rate) => rate >= LEAST_FPS); turn++) {
    await page.evaluate(() => {
      window.times = [];
      const tick = (now) => {
        window.times.push(now);
        window.ticking = requestAnimationFrame(tick);
      };
      window.ticking = requestAnimationFrame(tick);
    });
    for (const end = Date.now() + SECONDS * 1000; Date.now() < end; ) await page.mouse.wheel(0, 160);
    const times = await page.evaluate(() => {
      cancelAnimationFrame(window.ticking);
      return window.times;
    });
    rates.push(Math.round((10_000 * (times.length - 1)) / (times.at(-1) - times[0])) / 10);
  }
  return Math.max(...rates);
}

// There is no server behind it: all pictures are the same pixel.
const pixel = Buffer.from("R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==", "base64");
await page.route("**/api/**", (route) => route.fulfill({ contentType: "image/gif", body: pixel }));

try {
  await page.goto(`${server.resolvedUrls?.local[0] ?? ""}bench/jobs.html?jobs=10000&waiting=200`);
  await page.locator(".job-thumb").first().waitFor();
  const figures = { jobs: 10_000, waiting: 200 };
  await page.mouse.move(300, 600);
  figures.list = await scrolled();
  await page.locator("[data-panel=jobs] .jobs-tools button, [data-panel=jobs] button[aria-pressed]").last().click();
  await page.mouse.move(300, 600);
  figures.gallery = await scrolled();
  figures.elements = await page.evaluate(() => document.querySelectorAll("*").length);
  console.log(JSON.stringify(figures));
  const faults = [
    ...["list", "gallery"].filter((name) => figures[name] < LEAST_FPS).map((name) => `${name}: ${figures[name]} frames a second, under ${LEAST_FPS}`),
    ...(figures.elements > MOST_ELEMENTS ? [`${figures.elements} elements, more than ${MOST_ELEMENTS}`] : []),
  ];
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await browser.close();
  await server.close();
  rmSync(outDir, { recursive: true });
}
