// The editor as a person has it: what is seen by role and name, a real mouse, real keys. Nothing here knows the app's insides.

import { expect } from "vitest";
import type { BrowserContext, FileChooser, Locator, Page } from "playwright-core";
import { watch, type Watched } from "./browser";
import type { Server } from "./server";

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where something is done: a place of the page, or the middle of what is seen there. */
export type Place = Point | Locator;

/** A job that has ended, as `/history` tells it. */
export interface Ended {
  readonly id: string;
  readonly number: number;
  readonly prompt: Record<string, { readonly class_type: string; readonly inputs: Record<string, unknown> }>;
  readonly outputs: Record<string, { readonly images?: readonly { readonly filename: string; readonly subfolder: string; readonly type: string }[] }>;
  readonly status: { readonly status_str: string; readonly completed: boolean };
}

export type Color = readonly [red: number, green: number, blue: number];

/** A picture of the page, decoded. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** The colour at a place, both from 0 to 1. */
  at(x: number, y: number): Color;
  /** Which part of the picture has about this colour. */
  share(color: Color, tolerance?: number): number;
}

const KINDS = ["spinbutton", "combobox", "textbox", "switch", "slider", "checkbox"] as const;
/** Whether a file or folder of the user is there is found out by asking for it; browsers log the answer that it is not. */
const ABSENT = /404 \(Not Found\).*\/api\/userdata[/?]/;
/** A preview may be replaced by the next one while the page is still loading it. */
const REPLACED = /ERR_FILE_NOT_FOUND.*blob:/;
const STEPS = 6;
const RUN_MS = 60_000;

export class Editor {
  readonly page: Page;
  readonly server: Server;
  readonly context: BrowserContext;
  readonly watched: Watched;

  private constructor(page: Page, server: Server, context: BrowserContext, watched: Watched) {
    this.page = page;
    this.server = server;
    this.context = context;
    this.watched = watched;
  }

  /** The editor in a new page of a profile. */
  static async within(context: BrowserContext, server: Server, url = server.url): Promise<Editor> {
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const editor = new Editor(page, server, context, watch(page, url));
    await page.goto(url);
    // A server that has just started tells its node types once its worker is up.
    await editor.page.getByRole("group", { name: "Run", exact: true }).waitFor({ timeout: RUN_MS });
    return editor;
  }

  /** The end of a journey: nobody else was asked, and nothing was complained of but what was provoked. */
  async close(...provoked: readonly RegExp[]): Promise<void> {
    expect(this.watched.outside).toEqual([]);
    const expected = [...provoked, ABSENT, REPLACED];
    expect(this.watched.complaints.filter((said) => !expected.some((one) => one.test(said)))).toEqual([]);
    await this.context.close();
  }

  // Pages, panels, commands

  tab(name: string): Locator {
    return this.page.getByRole("navigation", { name: "Open workflows" }).getByRole("button", { name: new RegExp(`^${escaped(name)}( \\(.*\\))?$`) });
  }

  /** The name of the tab that is shown. */
  async title(): Promise<string> {
    const shown = this.page.getByRole("navigation", { name: "Open workflows" }).locator("[aria-current=page]");
    return (await shown.innerText()).trim();
  }

  /** Open a panel by its icon. */
  async panel(name: "Nodes" | "Jobs" | "Files" | "Outline" | "Settings"): Promise<Locator> {
    const button = this.page.getByRole("navigation", { name: "Panels" }).getByRole("button", { name });
    if ((await button.getAttribute("aria-pressed")) !== "true") await button.click();
    const panel = this.page.getByRole("complementary", { name });
    await panel.waitFor();
    return panel;
  }

  async closePanel(): Promise<void> {
    await this.page.getByRole("complementary").getByRole("button", { name: "Close", exact: true }).first().click();
  }

  /** A command by its name, through the palette. */
  async command(name: string): Promise<void> {
    await this.page.keyboard.press("Control+k");
    const palette = this.page.getByRole("dialog", { name: "All commands" });
    await palette.getByRole("combobox").fill(name);
    await palette.getByRole("option", { name }).first().waitFor();
    await this.page.keyboard.press("Enter");
    await palette.waitFor({ state: "hidden" });
  }

  /** An item of the menu that is open, or of menus in it; what was chosen closes all of them. */
  async choose(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      const item = this.page.getByRole("menuitem", { name }).or(this.page.getByRole("menuitemcheckbox", { name })).first();
      await item.click();
    }
    await this.page.getByRole("menu").first().waitFor({ state: "hidden" });
  }

  /** An item of the menu behind the bar's first button. */
  async mainMenu(item: string): Promise<void> {
    await this.page.getByRole("button", { name: "Menu", exact: true }).click();
    await this.choose(item);
  }

  async keys(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** The chooser of files that Ctrl+O opens; pressed again, as a person would, where a busy browser lost the key. */
  async chooser(): Promise<FileChooser> {
    for (let left = 2; ; left--) {
      const choosing = this.page.waitForEvent("filechooser", { timeout: 8000 }).catch(() => undefined);
      await this.keys("Control+o");
      const found = await choosing;
      if (found !== undefined) return found;
      if (left === 0) throw new Error("Ctrl+O opens no chooser of files");
    }
  }

  notice(text: string | RegExp): Locator {
    return this.page.getByRole("region", { name: /^Notices/ }).getByRole("listitem").filter({ hasText: text });
  }

  /** A new, empty workflow. */
  async empty(): Promise<void> {
    await this.page.getByRole("button", { name: "New workflow" }).click();
    await expect.poll(() => this.nodes().count()).toBe(0);
  }

  async openTemplate(title: string): Promise<void> {
    await this.mainMenu("Templates");
    await this.page.getByRole("complementary", { name: "Files" }).getByRole("button", { name: new RegExp(`^${escaped(title)}`) }).click();
    await this.tab(title).first().waitFor();
  }

  /** Files from outside, dropped on a place of the page. */
  async dropFiles(files: readonly { readonly name: string; readonly type: string; readonly data: Buffer }[], on: Locator = this.canvas): Promise<void> {
    const given = files.map(({ name, type, data }) => ({ name, type, text: data.toString("base64") }));
    const transfer = await this.page.evaluateHandle((all) => {
      const made = new DataTransfer();
      for (const { name, type, text } of all) made.items.add(new File([Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0))], name, { type }));
      return made;
    }, given);
    for (const kind of ["dragenter", "dragover", "drop"]) await on.dispatchEvent(kind, { dataTransfer: transfer });
    await transfer.dispose();
  }

  /** What the page lets somebody download by doing `act`. */
  async download(act: () => Promise<unknown>): Promise<{ readonly name: string; readonly data: Buffer }> {
    const [download] = await Promise.all([this.page.waitForEvent("download"), act()]);
    const parts: Buffer[] = [];
    for await (const part of await download.createReadStream()) parts.push(part as Buffer);
    return { name: download.suggestedFilename(), data: Buffer.concat(parts) };
  }

  // The canvas

  get canvas(): Locator {
    return this.page.getByRole("application", { name: "Graph" });
  }

  /** Empty ground at a place of the canvas, both from 0 to 1. */
  async ground(x: number, y: number): Promise<Point> {
    const box = await boxOf(this.canvas);
    return { x: Math.round(box.x + box.width * x), y: Math.round(box.y + box.height * y) };
  }

  /** Nodes, frames and the ends of a subgraph that are drawn. */
  nodes(): Locator {
    return this.canvas.locator(".react-flow__node-node");
  }

  node(title: string, nth = 0): Locator {
    return this.canvas.getByRole("group", { name: title, exact: true }).nth(nth);
  }

  frame(title: string): Locator {
    return this.node(`Frame ${title}`);
  }

  /** A field of a node, of a form or of the outline, by its name. */
  field(inside: Locator, name: string): Locator {
    const [first, ...others] = KINDS.map((role) => inside.getByRole(role, { name, exact: true }));
    return others.reduce((all, each) => all.or(each), first as Locator).first();
  }

  input(node: Locator, name: string): Locator {
    return node.getByRole("button", { name: new RegExp(`^Input ${escaped(name)}, `) });
  }

  output(node: Locator, name: string): Locator {
    return node.getByRole("button", { name: new RegExp(`^Output ${escaped(name)}, `) });
  }

  links(name?: string | RegExp): Locator {
    return this.canvas.getByRole("button", { name: name ?? / link from .* to / });
  }

  /** Click a node's title. */
  async select(node: Locator, ...modifiers: ("Shift" | "Control")[]): Promise<void> {
    await this.header(node).click({ modifiers });
  }

  header(node: Locator): Locator {
    return node.locator(".n-head, .n-frame-head").first();
  }

  /** The menu of a node, at its title. */
  async menuOf(node: Locator, ...items: readonly string[]): Promise<void> {
    await this.header(node).click({ button: "right" });
    await this.choose(...items);
  }

  async rename(node: Locator, title: string): Promise<void> {
    await this.menuOf(node, "Rename");
    const field = this.canvas.getByRole("textbox", { name: /^Title of the (node|frame)$/ });
    await expect.poll(() => field.evaluate((element) => element === document.activeElement)).toBe(true);
    await this.page.keyboard.type(title);
    await this.page.keyboard.press("Enter");
    await field.waitFor({ state: "hidden" });
  }

  async at(place: Place): Promise<Point> {
    if ("x" in place && typeof place.x === "number") return place as Point;
    const { x, y, width, height } = await boxOf(place as Locator);
    return { x: x + width / 2, y: y + height / 2 };
  }

  /** Press, move, let go. `hold` keeps the button down. */
  async drag(from: Place, to: Place, how: { readonly keys?: readonly string[]; readonly hold?: boolean; readonly button?: "left" | "middle" } = {}): Promise<void> {
    const { mouse, keyboard } = this.page;
    const [start, end] = [await this.at(from), await this.at(to)];
    for (const key of how.keys ?? []) await keyboard.down(key);
    await mouse.move(start.x, start.y);
    await mouse.down({ button: how.button ?? "left" });
    await mouse.move(start.x + Math.sign(end.x - start.x) * 6, start.y + Math.sign(end.y - start.y) * 6);
    await mouse.move(end.x, end.y, { steps: STEPS });
    if (how.hold === true) return;
    await mouse.up({ button: how.button ?? "left" });
    for (const key of how.keys ?? []) await keyboard.up(key);
  }

  /** Draw a link from an output to an input (or to anything else). */
  async link(from: Locator, to: Place): Promise<void> {
    await this.drag(from, to);
  }

  /** A node by its name, out of the search that opens at a place. */
  async add(name: string, at: Point): Promise<Locator> {
    const before = await this.nodes().count();
    await this.page.mouse.dblclick(at.x, at.y);
    await this.found(name);
    await expect.poll(() => this.nodes().count()).toBe(before + 1);
    return this.node(name).last();
  }

  /** Type into the search that is open and take what is found first. */
  async found(name: string): Promise<void> {
    const search = this.page.getByRole("dialog", { name: "Search nodes" });
    await search.getByRole("combobox").fill(name);
    await search.getByRole("option", { name: new RegExp(`^${escaped(name)}`) }).first().waitFor();
    await this.page.keyboard.press("Enter");
    await search.waitFor({ state: "hidden" });
  }

  /** Bring everything into view. */
  async fit(): Promise<void> {
    await this.page.getByRole("button", { name: "Show all" }).click();
  }

  // Fields

  async write(field: Locator, text: string): Promise<void> {
    await field.fill(text);
    await field.blur();
  }

  /** Write a number as people do: click it, write, Enter. */
  async number(inside: Locator, name: string, text: string): Promise<void> {
    await inside.getByRole("spinbutton", { name, exact: true }).first().click();
    const field = inside.getByRole("textbox", { name, exact: true });
    await field.fill(text);
    await field.press("Enter");
  }

  async pick(inside: Locator, name: string, choice: string): Promise<void> {
    await this.field(inside, name).click();
    const list = this.page.getByRole("dialog", { name, exact: true });
    await list.getByRole("combobox").fill(choice);
    await list.getByRole("option", { name: choice }).first().click();
    await list.waitFor({ state: "hidden" });
  }

  /** What a field shows. */
  async value(inside: Locator, name: string): Promise<string> {
    const field = this.field(inside, name);
    const role = await field.evaluate((element) => element.tagName);
    if (role === "TEXTAREA" || role === "INPUT") return field.inputValue();
    return ((await field.locator(".w-value").textContent()) ?? "").trim();
  }

  // Runs

  /** Everything that has ended, the oldest first. */
  async history(): Promise<Ended[]> {
    const told = await this.server.get<Record<string, { prompt: [number, string, Ended["prompt"]]; outputs: Ended["outputs"]; status: Ended["status"] }>>("/history");
    const all = Object.entries(told).map(([id, { prompt, outputs, status }]) => ({ id, number: prompt[0], prompt: prompt[2], outputs, status }));
    return all.sort((left, right) => left.number - right.number);
  }

  get runButton(): Locator {
    return this.page.getByRole("group", { name: "Run", exact: true }).getByRole("button", { name: /^Run( ×\d+)?$/ });
  }

  /** Run by `act` (a press of Run), and wait until `count` more jobs have ended and the page has heard of it. Answers the last. */
  async run(act: () => Promise<unknown> = () => this.runButton.click(), count = 1): Promise<Ended> {
    const before = (await this.history()).length;
    await act();
    await expect.poll(async () => (await this.history()).length, { timeout: RUN_MS, interval: 100 }).toBeGreaterThanOrEqual(before + count);
    await this.idle();
    const last = (await this.history()).at(-1);
    if (last === undefined) throw new Error("nothing has run");
    return last;
  }

  /** Until nothing runs or waits any more. */
  async idle(): Promise<void> {
    const works = this.page.getByRole("progressbar", { name: "Progress of the run" });
    const line = this.page.getByRole("contentinfo");
    // A form has no line at the bottom.
    const isIdle = async (): Promise<boolean> => (await works.count()) === 0 && ((await line.count()) === 0 || (await line.getByText("Idle").count()) > 0);
    await expect.poll(isIdle, { timeout: RUN_MS }).toBe(true);
  }

  // Pictures

  /** The picture that a node shows. */
  pictureOf(node: Locator): Locator {
    return node.getByRole("img", { name: "Picture 1" });
  }

  /** Decode a picture of the page. */
  async pixels(image: Locator): Promise<Pixels> {
    await expect.poll(() => image.evaluate((element: HTMLImageElement) => element.complete && element.naturalWidth > 0)).toBe(true);
    const { width, height, text } = await image.evaluate(async (element: HTMLImageElement) => {
      await element.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [element.naturalWidth, element.naturalHeight];
      const brush = canvas.getContext("2d");
      brush?.drawImage(element, 0, 0);
      const data = brush?.getImageData(0, 0, canvas.width, canvas.height).data ?? new Uint8ClampedArray();
      let binary = "";
      for (let start = 0; start < data.length; start += 8192) binary += String.fromCharCode(...data.subarray(start, start + 8192));
      return { width: canvas.width, height: canvas.height, text: btoa(binary) };
    });
    return pixelsOf(Buffer.from(text, "base64"), width, height);
  }
}

function pixelsOf(data: Buffer, width: number, height: number): Pixels {
  const color = (place: number): Color => [data[place] ?? 0, data[place + 1] ?? 0, data[place + 2] ?? 0];
  return {
    width,
    height,
    at: (x, y) => color((Math.min(height - 1, Math.floor(y * height)) * width + Math.min(width - 1, Math.floor(x * width))) * 4),
    share: (wanted, tolerance = 60) => {
      let count = 0;
      for (let place = 0; place < data.length; place += 4) if (isLike(color(place), wanted, tolerance)) count += 1;
      return count / (width * height);
    },
  };
}

/** The colours in which the demo model draws. */
export const COLORS = {
  red: [220, 40, 40],
  green: [40, 170, 70],
  blue: [45, 80, 220],
  yellow: [250, 215, 50],
  white: [245, 245, 245],
  black: [25, 25, 25],
} as const satisfies Record<string, Color>;

export const isLike = (color: Color, wanted: Color, tolerance = 60): boolean => color.every((part, place) => Math.abs(part - (wanted[place] ?? 0)) <= tolerance);

export const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

export async function boxOf(element: Locator): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await element.boundingBox();
  if (box === null) throw new Error(`nothing is drawn: ${element.toString()}`);
  return box;
}
