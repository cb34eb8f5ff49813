// The frame budget of the canvas: `node bench/frames.mjs [nodes]` builds bench/canvas.html, opens it in Chromium with software
// rendering and prints how long opening took, frames a second while panning, dragging and zooming with all in view, and the heap.
// It fails under 40 frames a second, if opening takes more than three seconds twice over, or above 200 MB.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build, preview } from "vite";
import { frames, LEAST } from "./windows.mjs";

const LIMITS = { open: 3000, heap: 200 };
const count = Number(process.argv[2] ?? 1000);
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const outDir = mkdtempSync(join(tmpdir(), "easel-bench-"));

await build({ root, logLevel: "error", build: { outDir, emptyOutDir: true, rollupOptions: { input: join(root, "bench/canvas.html") } } });
const server = await preview({ root, logLevel: "error", build: { outDir }, preview: { port: 0, host: "127.0.0.1" } });
const address = `${server.resolvedUrls?.local[0] ?? ""}bench/canvas.html?nodes=${count}`;
const browser = await chromium.launch({
  executablePath: process.env["EASEL_CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});

async function openPage() {
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.goto(address);
  await page.waitForFunction(() => window.bench?.opened !== undefined);
  return { page, open: await page.evaluate(() => window.bench.opened) };
}

const opens = [];
for (let turn = 0; turn < 2; turn++) {
  const { page, open } = await openPage();
  opens.push(Math.round(open));
  if (turn === 0) await page.close();
}
const [page] = browser.contexts()[0].pages();
const figures = { nodes: count, open: opens };

// With all in view first, since that is how a document opens.
const zooms = new Set();
await page.mouse.move(800, 500);
await page.keyboard.down("Control");
figures.fit = await frames(page, async (step) => {
  await page.mouse.wheel(0, step % 20 < 10 ? 30 : -30);
  if (step % 10 === 0) zooms.add(await page.locator(".c-zoom").textContent());
});
await page.keyboard.up("Control");
if (zooms.size < 2) throw new Error("the wheel did not zoom");
await page.evaluate(() => window.port.current.fit("all"));
await page.waitForTimeout(400);
figures.fitPan = await frames(page, (step) => page.mouse.wheel(step % 40 < 20 ? 15 : -15, step % 60 < 30 ? 10 : -10));
await page.evaluate(() => window.port.current.camera.zoomTo(1));
await page.waitForTimeout(600);
figures.pan = await frames(page, (step) => page.mouse.wheel(step % 80 < 40 ? 24 : -24, step % 120 < 60 ? 16 : -16));
const head = await page.locator(".n-node .n-title").evaluateAll((all) => {
  const boxes = all.map((each) => each.getBoundingClientRect());
  const box = boxes.find((each) => each.left > 300 && each.top > 200 && each.right < 1300 && each.bottom < 800);
  return box === undefined ? undefined : { x: box.left + 20, y: box.top + 10 };
});
if (head === undefined) throw new Error("no node to drag is in view");
await page.mouse.move(head.x, head.y);
await page.mouse.down();
figures.drag = await frames(page, (step) => page.mouse.move(head.x + 120 * Math.sin(step / 12), head.y + 90 * Math.cos(step / 12)));
await page.mouse.up();
const session = await page.context().newCDPSession(page);
await session.send("HeapProfiler.collectGarbage");
figures.heap = Math.round((await session.send("Runtime.getHeapUsage")).usedSize / 1e6);
if (process.env["SHOTS"] !== undefined) await page.screenshot({ path: join(process.env["SHOTS"], "near.png") });

await browser.close();
await server.close();
rmSync(outDir, { recursive: true });
console.log(JSON.stringify(figures));
const slow = ["pan", "drag", "fit", "fitPan"].filter((name) => figures[name].fps < LEAST);
const faults = [
  ...slow.map((name) => `${name}: ${figures[name].fps} frames a second, under ${LEAST}`),
  ...(opens.every((open) => open > LIMITS.open) ? [`opening took ${opens.join(" and ")} ms`] : []),
  ...(figures.heap > LIMITS.heap ? [`${figures.heap} MB on the heap`] : []),
];
for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
