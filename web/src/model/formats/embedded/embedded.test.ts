import { zlibSync } from "fflate";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { dice } from "../../edit/testing";
import { levelOf } from "../../document";
import { ROOT } from "../../ids";
import { parseJson, writeJson } from "../../json";
import { readNodeTypes } from "../../types";
import { excerpt, FormatError, readFile, readText, type FileResult } from "../index";
import { toPrompt } from "../../convert";
import { avif, big, flac, glb, joined, jpeg, mp3, mp4, ogg, png, svg, tensors, webm, webp } from "./testing";

const TYPES = readNodeTypes(parseJson(readFileSync("src/model/convert/golden/object_info.json", "utf8")));
const SEED = "18446744073709551615";
const WORKFLOW = `{"id":"w","nodes":[{"id":1,"type":"KSampler","widgets_values":[${SEED},"fixed",NaN]}],"links":[]}`;
const PROMPT = `{"1":{"class_type":"KSampler","inputs":{"seed":${SEED},"latent_image":["2",0]}},"2":{"class_type":"EmptyLatentImage","inputs":{"width":64}}}`;

const KINDS: readonly (readonly [string, string, (texts: Readonly<Record<string, string>>) => Uint8Array])[] = [
  ["PNG (tEXt)", "a.png", (texts) => png(texts)],
  ["PNG (zTXt)", "a.png", (texts) => png(texts, "zTXt")],
  ["PNG (iTXt)", "a.png", (texts) => png(texts, "iTXt")],
  ["PNG (packed iTXt)", "a.png", (texts) => png(texts, "packed iTXt")],
  ["PNG (comf)", "a.png", (texts) => png(texts, "comf")],
  ["WebP", "a.webp", (texts) => webp(texts)],
  ["WebP (big endian, no prefix)", "a.webp", (texts) => webp(texts, false, "")],
  ["JPEG", "a.jpg", jpeg],
  ["AVIF", "a.avif", avif],
  ["latent", "a.latent", tensors],
  ["safetensors", "a.safetensors", tensors],
  ["MP4", "a.mp4", mp4],
  ["WebM", "a.webm", webm],
  ["FLAC", "a.flac", flac],
  ["Ogg (Opus)", "a.opus", (texts) => ogg(texts)],
  ["Ogg (Vorbis)", "a.ogg", (texts) => ogg(texts, "vorbis")],
  ["MP3 (ID3 2.4)", "a.mp3", (texts) => mp3(texts)],
  ["MP3 (ID3 2.3)", "a.mp3", (texts) => mp3(texts, 3)],
  ["glTF", "a.glb", glb],
  ["SVG", "a.svg", svg],
];

const seedOf = (result: FileResult): unknown => {
  if (!result.ok) throw result.error;
  return [...levelOf(result.document, ROOT).nodes.values()].find((node) => node.type === "KSampler")?.values["seed"];
};

describe.each(KINDS)("%s", (_, name, build) => {
  test("gives its workflow, whatever its size", () => {
    for (const filler of ["", "é".repeat(70_000)]) {
      const text = WORKFLOW.replace('"id":"w"', `"id":"w","filler":"${filler}"`);
      const result = readFile(build({ prompt: PROMPT, workflow: text }), name, TYPES);
      if (name === "a.jpg" && filler !== "") continue; // a segment of JPEG holds 64 kB
      expect(result).toMatchObject({ ok: true, kind: "workflow" });
      expect(seedOf(result)).toBe(BigInt(SEED));
    }
  });
  test("gives its prompt, laid out, if it has no workflow", () => {
    const result = readFile(build({ prompt: PROMPT }), name, TYPES);
    expect(result).toMatchObject({ ok: true, kind: "prompt" });
    expect(seedOf(result)).toBe(BigInt(SEED));
    if (!result.ok) return;
    const positions = [...levelOf(result.document, ROOT).nodes.values()].map(({ position }) => `${position.x},${position.y}`);
    expect(new Set(positions).size).toBe(positions.length);
  });
  test("with a broken workflow gives the prompt", () => {
    expect(readFile(build({ prompt: PROMPT, workflow: '{"nodes": [' }), name, TYPES)).toMatchObject({ ok: true, kind: "prompt" });
  });
  test("without either says so", () => {
    const result = readFile(build({ other: "text" }), name, TYPES);
    expect(result.ok ? "" : result.error.code).toBe("no-workflow");
  });
  test("is refused or read, cut anywhere and with any byte changed, and never more", () => {
    const whole = build({ prompt: PROMPT, workflow: WORKFLOW });
    const roll = dice(whole.length);
    const attempt = (data: Uint8Array): void => {
      const result = readFile(data, name, TYPES);
      if (!result.ok) expect(result.error).toBeInstanceOf(FormatError);
    };
    for (let length = 1; length < whole.length; length += 7) attempt(whole.slice(0, length));
    for (let count = 0; count < 300; count++) {
      const damaged = whole.slice();
      for (let more = 1 + roll(3); more > 0; more--) damaged[roll(count < 150 ? 120 : whole.length)] = [0, 1, 127, 128, 255, roll(256)][roll(6)] ?? 0;
      attempt(damaged);
    }
  });
});

test("a picture that unpacks to gigabytes is refused early", () => {
  const bomb = zlibSync(new Uint8Array(80 * 2 ** 20), { level: 1 });
  const chunk = joined("workflow\0\0", bomb);
  const file = joined(png({}).slice(0, 33), big(chunk.length), "zTXt", chunk, big(0));
  const started = performance.now();
  const result = readFile(file, "a.png", TYPES);
  expect(result.ok ? "" : result.error.code).toBe("too-large");
  expect(performance.now() - started).toBeLessThan(5000);
}, 30_000);

const source = (name: string, size: number, at: (start: number, end: number) => Uint8Array) => {
  let read = 0;
  return { read: () => read, file: { name, size, read: (start: number, end: number) => ((read += end - start), Promise.resolve(at(start, end))) } };
};

describe("of a huge file only what can carry texts is read", () => {
  test("the header of a model", async () => {
    const head = tensors({ workflow: WORKFLOW });
    const { file, read } = source("model.safetensors", 8 * 2 ** 30, (start, end) => head.slice(start, end));
    expect(readFile(await excerpt(file), file.name, TYPES)).toMatchObject({ ok: true, kind: "workflow" });
    expect(read()).toBeLessThan(10_000);
  });
  test("the tags at the end of a long video", async () => {
    const small = mp4({ workflow: WORKFLOW });
    const middle = 5 * 2 ** 30;
    const [start, rest] = [small.slice(0, 16), small.slice(16 + 72)];
    const at = (from: number, to: number): Uint8Array => {
      const mdat = joined(big(1), "mdat", big(0), big(0)).map((byte, place) => (place === 11 ? 1 : place === 12 ? 0x40 : byte));
      const bytes = new Uint8Array(to - from);
      for (let place = from; place < to; place++) {
        bytes[place - from] = (place < 16 ? start[place] : place < 32 ? mdat[place - 16] : place < 16 + middle ? 0 : rest[place - 16 - middle]) ?? 0;
      }
      return bytes;
    };
    const { file, read } = source("long.mp4", 16 + middle + rest.length, at);
    expect(readFile(await excerpt(file), file.name, TYPES)).toMatchObject({ ok: true, kind: "workflow" });
    expect(read()).toBeLessThan(10_000);
  });
  test("a small file as it is", async () => {
    const whole = png({ workflow: WORKFLOW });
    const { file } = source("a.png", whole.length, (start, end) => whole.slice(start, end));
    expect(await excerpt(file)).toEqual(whole);
  });
});

describe("generation parameters of other programs", () => {
  const TEXT = `a cat, (red:1.2) <lora:style:0.6>
second line
Negative prompt: blurry,
ugly
Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: ${2n ** 53n + 1n}, Size: 768x512, Model hash: abc, Model: demo, Clip skip: 2, Lora hashes: "a: b, c: d", Version: 1.9`;
  test.each([["as a text", () => readText(TEXT, TYPES)], ["in a picture", () => readFile(png({ parameters: TEXT }), "a.png", TYPES)]] as const)("%s", (_, read) => {
    const result = read();
    if (!result.ok) throw result.error;
    expect(result.kind).toBe("parameters");
    expect(result.notices.map(({ code, message }) => [code, message])).toEqual([["settings-not-understood", "not taken over: Lora hashes"]]);
    const { prompt } = toPrompt(result.document, TYPES);
    expect(writeJson(prompt)).toContain(`"seed":${2n ** 53n + 1n}`);
    expect(prompt).toMatchObject({
      3: { inputs: { steps: 30, cfg: 6.5, sampler_name: "dpmpp_2m", scheduler: "karras", denoise: 1 } },
      5: { inputs: { width: 768, height: 512 } },
      6: { inputs: { text: "a cat, (red:1.2) \nsecond line" } },
      7: { inputs: { text: "blurry,\nugly" } },
      10: { inputs: { stop_at_clip_layer: -2 } },
      20: { inputs: { strength_model: 0.6 } },
    });
  });
});
