// The frame budget of the canvas: `node bench/frames.mjs [nodes]` builds bench/canvas.html, opens it in Chromium with software
// rendering and prints how long opening took, frames a second while panning, dragging and zooming with all in view, and the heap.
// It fails under 40 frames a second, if opening takes more than three seconds twice over, or above 200 MB.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build, preview } from "vite";

const LIMITS = { fps: 40, open: 3000, heap: 200 };
const SECONDS = 3;
const count = Number(process.argv[2] ?? 1000);
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const outDir = mkdtempSync(join(tmpdir(), "easel-bench-"));

await build({ root, logLevel: "error", build: { outDir, emptyOutDir: true, rollupOptions: { input: join(root, "bench/canvas.html") } } });
const server = await preview({ root, logLevel: "error", build: { outDir }, preview: { port: 0, host: "127.0.0.1" } });
const address = `${server.resolvedUrls?.local[0] ?? ""}bench/canvas.html?nodes=${count}`;
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});

async function openPage() {
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.goto(address);
  await page.waitForFunction(() => window.bench?.opened !== undefined);
  return { page, open: await page.evaluate(() => window.bench.opened) };
}

/** Frames a second while `act` goes on, and the longest one; a second try where the machine was busy with something else. */
async function frames(page, act) {
  const first = await framesOnce(page, act);
  if (first.fps >= LIMITS.fps) return first;
  await page.waitForTimeout(1000);
  const second = await framesOnce(page, act);
  return second.fps > first.fps ? second : first;
}

async function framesOnce(page, act) {
  await page.evaluate(() => {
    window.times = [];
    window.zooms = new Set();
    const tick = (now) => {
      window.times.push(now);
      window.zooms.add(document.querySelector(".c-zoom").textContent);
      window.ticking = requestAnimationFrame(tick);
    };
    window.ticking = requestAnimationFrame(tick);
  });
  await act();
  const times = await page.evaluate(() => {
    cancelAnimationFrame(window.ticking);
    return window.times;
  });
  const gaps = times.slice(1).map((time, place) => time - times[place]).sort((a, b) => a - b);
  const fps = (1000 * gaps.length) / (times.at(-1) - times[0]);
  return { fps: Math.round(fps * 10) / 10, worst: Math.round(gaps.at(-1) ?? 0) };
}

const until = async (act) => {
  const end = Date.now() + SECONDS * 1000;
  for (let step = 0; Date.now() < end; step++) await act(step);
};

const opens = [];
for (let turn = 0; turn < 2; turn++) {
  const { page, open } = await openPage();
  opens.push(Math.round(open));
  if (turn === 0) await page.close();
}
const [page] = browser.contexts()[0].pages();
const figures = { nodes: count, open: opens };

// With all in view first, since that is how a document opens.
figures.fit = await frames(page, () => until((step) => page.mouse.move(800, 500).then(() => page.keyboard.down("Control")).then(() => page.mouse.wheel(0, step % 20 < 10 ? 30 : -30)).then(() => page.keyboard.up("Control"))));
if ((await page.evaluate(() => window.zooms.size)) < 3) throw new Error("the wheel did not zoom");
await page.evaluate(() => window.port.current.fit("all"));
await page.waitForTimeout(400);
figures.fitPan = await frames(page, () => until((step) => page.mouse.wheel(step % 40 < 20 ? 15 : -15, step % 60 < 30 ? 10 : -10)));
await page.evaluate(() => window.port.current.camera.zoomTo(1));
await page.waitForTimeout(600);
figures.pan = await frames(page, () => until((step) => page.mouse.wheel(step % 80 < 40 ? 24 : -24, step % 120 < 60 ? 16 : -16)));
const head = await page.locator(".n-node .n-title").evaluateAll((all) => {
  const boxes = all.map((each) => each.getBoundingClientRect());
  const box = boxes.find((each) => each.left > 300 && each.top > 200 && each.right < 1300 && each.bottom < 800);
  return box === undefined ? undefined : { x: box.left + 20, y: box.top + 10 };
});
if (head === undefined) throw new Error("no node to drag is in view");
await page.mouse.move(head.x, head.y);
await page.mouse.down();
figures.drag = await frames(page, () => until((step) => page.mouse.move(head.x + 120 * Math.sin(step / 12), head.y + 90 * Math.cos(step / 12))));
await page.mouse.up();
const session = await page.context().newCDPSession(page);
await session.send("HeapProfiler.collectGarbage");
figures.heap = Math.round((await session.send("Runtime.getHeapUsage")).usedSize / 1e6);
if (process.env["SHOTS"] !== undefined) await page.screenshot({ path: join(process.env["SHOTS"], "near.png") });

await browser.close();
await server.close();
rmSync(outDir, { recursive: true });
console.log(JSON.stringify(figures));
const slow = ["pan", "drag", "fit", "fitPan"].filter((name) => figures[name].fps < LIMITS.fps);
const faults = [
  ...slow.map((name) => `${name}: ${figures[name].fps} frames a second, under ${LIMITS.fps}`),
  ...(opens.every((open) => open > LIMITS.open) ? [`opening took ${opens.join(" and ")} ms`] : []),
  ...(figures.heap > LIMITS.heap ? [`${figures.heap} MB on the heap`] : []),
];
for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
