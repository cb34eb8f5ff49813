// Texts that try to be script, in every field of workflows, in what pictures carry, in names of files: none runs. And pages
// of other sites can neither queue, nor listen, nor read.

import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server as Http } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { png } from "../../src/model/formats/embedded/testing";
import type { Json, JsonObject } from "../../src/model/json";
import { PAYLOADS } from "../../tests/payloads";
import { expect, test } from "vitest";
import { canaries } from "../lib/canaries";
import type { Desk } from "../lib/desk";
import { Editor } from "../lib/editor";

/** As a file can be called. */
const fileNames = PAYLOADS.map((text) => text.replaceAll("/", "∕").replaceAll("\0", "").slice(0, 60)).filter((name) => !/^\.*$/.test(name));

/** Files that are called so, for a server over `base`. */
export function withHostileFiles(base: string): void {
  for (const folder of ["input", "user/default/workflows"]) mkdirSync(join(base, folder), { recursive: true });
  for (const name of new Set(fileNames)) {
    writeFileSync(join(base, "input", `${name}.png`), png({ parameters: "x" }));
    writeFileSync(join(base, "user", "default", "workflows", `${name}.json`), '{"nodes":[],"links":[]}');
  }
}

const BATCH = 12;
const batches = Array.from({ length: Math.ceil(PAYLOADS.length / BATCH) }, (_, number) => PAYLOADS.slice(number * BATCH, (number + 1) * BATCH));

/** Nodes with `text` wherever people or programs can put one, in the column of a number. */
function nodesWith(text: string, column: number): JsonObject[] {
  const at = (row: number): JsonObject => ({ pos: [column * 260, row * 220], size: [240, 200] });
  const slot = { name: text, type: text, label: text, localized_name: text };
  const id = column * 10;
  return [
    {
      ...at(0), id, type: text, title: text, color: text, bgcolor: text, inputs: [{ ...slot, link: null, widget: { name: text } }, { ...slot, link: null }],
      outputs: [{ ...slot, links: null }], widgets_values: [text, { [`v${text}`]: text }],
      properties: { [`p${text}`]: text, "Node name for S&R": text, cnr_id: text, aux_id: text, models: [{ name: text, url: text, directory: text }] },
    },
    { ...at(1), id: id + 1, type: "MarkdownNote", title: text, widgets_values: [text] },
    { ...at(2), id: id + 2, type: "Note", title: text, widgets_values: [text] },
    { ...at(3), id: id + 3, type: "CLIPTextEncode", title: text, inputs: [{ name: "clip", type: "CLIP", link: null, label: text }], outputs: [], widgets_values: [text] },
    { ...at(4), id: id + 4, type: `sub${column}`, title: "", inputs: [{ ...slot, link: null }], outputs: [] },
    { ...at(5), id: id + 5, type: "LoadImage", title: text, inputs: [], outputs: [], widgets_values: [text, "image"] },
    { ...at(6), id: id + 6, type: "SaveImage", inputs: [{ name: "images", type: "IMAGE", link: null, label: text }], outputs: [], widgets_values: [text] },
    { ...at(7), id: id + 7, type: "GetNode", title: text, inputs: [], outputs: [{ ...slot, links: null }], widgets_values: [text] },
  ];
}

const workflowWith = (texts: readonly string[]): JsonObject => ({
  id: texts[0] ?? "",
  nodes: texts.flatMap((text, column): Json[] => nodesWith(text, column)),
  links: [],
  groups: texts.map((text, column) => ({ id: column, title: text, color: text, bounding: [column * 260 - 8, -40, 250, 1900] })),
  models: texts.map((text) => ({ name: text, url: text, directory: text })),
  definitions: {
    subgraphs: texts.map((text, column) => ({ id: `sub${column}`, name: text, description: text, category: text, inputs: [{ id: `i${column}`, name: text, type: text, label: text }], outputs: [], nodes: [], links: [] })),
  },
  extra: { info: { author: texts[0] ?? "" }, linearData: { inputs: texts.map((_, column) => [column * 10 + 3, "text"]), outputs: [] } },
  version: 0.4,
});

const file = (name: string, data: string | Uint8Array, type: string) => ({ name, type, data: Buffer.from(data) });

export function hostileJourneys(at: Desk): void {
  test(`${PAYLOADS.length} payloads in every field of a workflow, and of what a picture carries, stay text`, async () => {
    const context = await at.browser.newContext({ viewport: { width: 1600, height: 1000 }, reducedMotion: "reduce" });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const birds = await canaries(page, at.server.url);
    await page.goto(at.server.url);
    await page.locator(".n-node").first().waitFor();
    await page.locator(".rail-button[data-panel=outline]").click();
    const drop = (files: readonly ReturnType<typeof file>[]): Promise<void> => Editor.prototype.dropFiles.call({ page, canvas: page.locator(".shell") }, files);
    const tabs = page.locator(".tab-name");
    for (const [number, texts] of batches.entries()) {
      const before = await tabs.count();
      const data = JSON.stringify(workflowWith(texts));
      const [first = ""] = texts;
      if (number % 2 === 0) await drop([file(`${first}.json`, data, "application/json")]);
      else await drop([file(`${first}.png`, png({ workflow: data, prompt: first, [first.replaceAll("\0", "").slice(0, 70) || "k"]: first }, "iTXt"), "image/png")]);
      await expect.poll(() => tabs.count(), { timeout: 10_000 }).toBe(before + 1);
      await page.keyboard.press("1");
      await page.locator(".n-node, .n-far").first().waitFor();
      await page.getByRole("button", { name: "Show all" }).click();
      for (let zoom = 0; zoom < 3; zoom++) await page.getByRole("button", { name: "Show all" }).press("Control+=");
      const missing = page.locator("[data-sonner-toast]").getByRole("button", { name: "Show" }).first();
      if ((await missing.count()) > 0) {
        await missing.click();
        await page.getByRole("dialog").waitFor();
        await page.keyboard.press("Escape");
      }
      const titles = await page.locator(".n-title, .n-frame-title, .panel-body").allInnerTexts();
      expect(titles.join("\n")).toContain(first.trim().slice(0, 12));
      expect(await birds.faults(), texts.join("\n")).toEqual([]);
      await page.locator(".tab[data-active=true] .tab-close").click();
    }
    await context.close();
  });

  test("payloads as parameters of pictures and as names of files, dropped and on the server, stay text", async () => {
    const context = await at.browser.newContext({ viewport: { width: 1600, height: 1000 }, reducedMotion: "reduce" });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const birds = await canaries(page, at.server.url);
    await page.goto(at.server.url);
    await page.locator(".n-node").first().waitFor();
    const drop = (files: readonly ReturnType<typeof file>[]): Promise<void> => Editor.prototype.dropFiles.call({ page, canvas: page.locator(".shell") }, files);
    for (const text of PAYLOADS.filter((_, number) => number % 4 === 0)) {
      const parameters = `${text}\nNegative prompt: ${text}\nSteps: 1, Sampler: ${text}, Model: ${text}, ${text}: ${text}`;
      await drop([file(text, png({ parameters, comment: text }, "iTXt"), "image/png")]);
    }
    await drop(PAYLOADS.filter((_, number) => number % 8 === 1).map((text) => file(text, text, "text/plain")));
    await page.locator("[data-sonner-toast]").first().waitFor();
    expect(await birds.faults()).toEqual([]);

    await page.locator(".rail-button[data-panel=files]").click();
    await expect.poll(() => page.locator(".files .file").count()).toBeGreaterThan(80);
    expect(await birds.faults()).toEqual([]);
    await context.close();
  });

  test("payloads in what ran are text in the list of jobs, in large view and among what changed", async () => {
    const editor = await at.open();
    const birds = await canaries(editor.page, at.server.url);
    await editor.page.reload();
    await editor.node("Prompt").locator("textarea").fill(PAYLOADS.join("\n").replaceAll("\0", ""));
    await editor.node("Prompt").locator("textarea").blur();
    await editor.tab("Text to image").dblclick();
    await editor.page.getByRole("textbox", { name: "Rename workflow…" }).fill("<img src=x onerror=alert(1)>");
    await editor.keys("Enter");
    await editor.run();
    const jobs = await editor.panel("Jobs");
    await jobs.getByText("<img src=x onerror=alert(1)>").first().waitFor();
    await jobs.locator("button.job-thumb").first().click();
    const large = editor.page.getByRole("dialog");
    await large.waitFor();
    await editor.keys("i");
    expect(await birds.faults()).toEqual([]);
  });

  test("the canaries sing", async () => {
    const editor = await at.open();
    const birds = await canaries(editor.page, at.server.url);
    await editor.page.reload();
    await editor.node("Prompt").waitFor();
    expect(await birds.faults()).toEqual([]);
    for (const html of ["<img src=x onerror=alert(1)>", "<iframe></iframe>", "<a href='javascript:alert(1)'>x</a>", "<img src='http://evil.example/x'>"]) {
      const before = (await birds.faults()).length;
      await editor.page.evaluate((text) => document.body.insertAdjacentHTML("beforeend", text), html);
      await expect.poll(async () => (await birds.faults()).length, { message: html }).toBeGreaterThan(before);
    }
  });

  test("the page's policy allows no script and no style that is written into it, and every answer forbids guessing", async () => {
    const answer = await fetch(at.server.url);
    const policy = answer.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'self'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    for (const part of ["object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'none'"]) expect(policy).toContain(part);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("a page of another site can neither queue, nor listen, nor read", async () => {
    const { browser, server } = at;
    const ranBefore = Object.keys(await server.get<object>("/history"));
    const other: Http = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<!doctype html><title>other</title><p>x</p>"));
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    const context = await browser.newContext();
    const page = await context.newPage();
    for (const host of ["127.0.0.1", "localhost"]) {
      await page.goto(`http://${host}:${port}/`);
      const tried = await page.evaluate(async (url) => {
        const graph = JSON.stringify({ prompt: { 1: { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1 } } } });
        const attempt = async (work: () => Promise<unknown>): Promise<string> => {
          try {
            return String(await work());
          } catch (error) {
            return `refused: ${(error as Error).name}`;
          }
        };
        const element = (name: string, address: string): Promise<string> =>
          new Promise((resolve) => {
            const made = document.createElement(name) as HTMLImageElement;
            made.onload = () => resolve("loaded");
            made.onerror = () => resolve("refused: error");
            made.src = address;
            document.body.append(made);
          });
        const post = (mode: RequestMode, type: string): Promise<string> => attempt(async () => (await fetch(`${url}/prompt`, { method: "POST", mode, body: graph, headers: { "content-type": type } })).status);
        return {
          json: await post("cors", "application/json"),
          plain: await post("cors", "text/plain"),
          blind: await post("no-cors", "text/plain"),
          read: await attempt(async () => (await fetch(`${url}/object_info`)).text()),
          blindRead: await attempt(async () => (await (await fetch(`${url}/system_stats`, { mode: "no-cors" })).text()).length),
          script: await element("script", `${url}/object_info`),
          image: await element("img", `${url}/view?filename=a.png&type=input`),
          socket: await new Promise<string>((resolve) => {
            const socket = new WebSocket(`${url.replace("http", "ws")}/ws?clientId=other`);
            socket.onopen = () => resolve("open");
            socket.onerror = () => resolve("refused: error");
          }),
        };
      }, server.url);
      expect(tried).toEqual({
        json: "refused: TypeError", plain: "refused: TypeError", blind: expect.stringMatching(/^(refused: TypeError|0)$/), read: "refused: TypeError",
        blindRead: expect.stringMatching(/^(refused: TypeError|0)$/), script: "refused: error", image: "refused: error", socket: "refused: error",
      });
      await page.evaluate((url) => {
        const frame = document.createElement("iframe");
        frame.src = url;
        frame.id = "editor";
        document.body.append(frame);
        const form = document.createElement("form");
        Object.assign(form, { method: "POST", action: `${url}/prompt`, enctype: "text/plain", target: "_blank" });
        const field = document.createElement("input");
        Object.assign(field, { name: '{"prompt":{"1":{"class_type":"EmptyLatentImage","inputs":{}}},"x":"', value: '"}' });
        form.append(field);
        document.body.append(form);
        form.submit();
      }, server.url);
      await page.waitForTimeout(300);
      const inner = page.frames().find((frame) => frame.parentFrame() !== null);
      expect(inner === undefined || (await inner.locator("#app, .shell").count()) === 0).toBe(true);
    }
    expect(await server.get("/queue")).toEqual({ queue_running: [], queue_pending: [] });
    expect(Object.keys(await server.get<object>("/history"))).toEqual(ranBefore);
    await context.close();
    await new Promise((resolve) => other.close(resolve));
  });
}
