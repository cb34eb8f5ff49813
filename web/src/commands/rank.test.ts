import { expect, test } from "vitest";
import { rank } from "./rank";

const NODES = ["KSampler", "KSampler (Advanced)", "Load Checkpoint", "Save Image", "Load Image", "VAE Decode", "VAE Encode", "CLIP Text Encode (Prompt)", "Empty Latent Image", "Image Scale", "Upscale Latent By"];

test.each([
  ["ksampler", "KSampler"],
  ["ks", "KSampler"],
  ["image", "Image Scale"],
  ["save", "Save Image"],
  ["load im", "Load Image"],
  ["im load", "Load Image"],
  ["vd", "VAE Decode"],
  ["decode", "VAE Decode"],
  ["prompt", "CLIP Text Encode (Prompt)"],
  ["cte", "CLIP Text Encode (Prompt)"],
  ["latent", "Upscale Latent By"],
  ["advanced", "KSampler (Advanced)"],
])("%j finds %j first", (query, first) => {
  expect(rank(query, NODES, (name) => ({ name }))[0]).toBe(first);
});

test("use never outranks an exact prefix", () => {
  const found = rank("save", ["Load and Save", "Save Image"], (name) => ({ name, use: name.startsWith("Load") ? 1 : 0 }));
  expect(found[0]).toBe("Save Image");
});

test("use orders what fits equally well", () => {
  const found = rank("load", ["Load A", "Load B"], (name) => ({ name, use: name.endsWith("B") ? 1 : 0 }));
  expect(found).toEqual(["Load B", "Load A"]);
});

test("what does not fit is left out, and an empty query keeps all", () => {
  expect(rank("zzz", NODES, (name) => ({ name }))).toEqual([]);
  expect(rank("", NODES, (name) => ({ name }))).toEqual(NODES);
});

test("accents and other scripts are found", () => {
  expect(rank("cafe", ["Café"], (name) => ({ name }))).toEqual(["Café"]);
  expect(rank("加载", ["加载图像", "保存"], (name) => ({ name }))).toEqual(["加载图像"]);
});
