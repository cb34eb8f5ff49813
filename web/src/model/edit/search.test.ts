import { expect, test } from "vitest";
import { readNodeTypes } from "../types";
import { readQuery, search, splitWords, used, NO_USES, type Uses } from "./search";

const TYPES = readNodeTypes({
  KSampler: { display_name: "KSampler", category: "sampling", input: { required: { model: ["MODEL"], latent_image: ["LATENT"] } }, output: ["LATENT"] },
  KSamplerAdvanced: { display_name: "KSampler (Advanced)", category: "sampling", input: { required: { model: ["MODEL"], latent_image: ["LATENT"] } }, output: ["LATENT"] },
  SamplerCustom: { display_name: "SamplerCustom", category: "sampling/custom", input: { required: { latent_image: ["LATENT"] } }, output: ["LATENT", "LATENT"] },
  VAEDecode: { display_name: "VAE Decode", category: "latent", input: { required: { samples: ["LATENT"], vae: ["VAE"] } }, output: ["IMAGE"] },
  VAEDecodeTiled: { display_name: "VAE Decode (Tiled)", category: "latent", input: { required: { samples: ["LATENT"], vae: ["VAE"] } }, output: ["IMAGE"] },
  VAEEncode: { display_name: "VAE Encode", category: "latent", input: { required: { pixels: ["IMAGE"], vae: ["VAE"] } }, output: ["LATENT"] },
  VAELoader: { display_name: "Load VAE", category: "loaders", input: { required: {} }, output: ["VAE"] },
  CheckpointLoaderSimple: { display_name: "Load Checkpoint", category: "loaders", input: { required: {} }, output: ["MODEL", "CLIP", "VAE"] },
  LoraLoader: { display_name: "Load LoRA", category: "loaders", input: { required: { model: ["MODEL"], clip: ["CLIP"] } }, output: ["MODEL", "CLIP"] },
  LoadImage: { display_name: "Load Image", category: "image", input: { required: {} }, output: ["IMAGE", "MASK"] },
  SaveImage: { display_name: "Save Image", category: "image", input: { required: { images: ["IMAGE"] } }, output: [], output_node: true },
  PreviewImage: { display_name: "Preview Image", category: "image", input: { required: { images: ["IMAGE"] } }, output: [], output_node: true },
  ImageScale: { display_name: "Upscale Image", category: "image/upscaling", input: { required: { image: ["IMAGE"] } }, output: ["IMAGE"] },
  CLIPTextEncode: { display_name: "CLIP Text Encode (Prompt)", category: "conditioning", input: { required: { clip: ["CLIP"] } }, output: ["CONDITIONING"] },
  EmptyLatentImage: { display_name: "Empty Latent Image", category: "latent", input: { required: {} }, output: ["LATENT"] },
  OldSampler: { display_name: "KSampler Old", category: "sampling", deprecated: true, input: { required: { latent_image: ["LATENT"] } }, output: ["LATENT"] },
  PaidLoad: { display_name: "Cloud Load Image", category: "api node/image", input: { required: {} }, output: ["IMAGE"] },
});

const names = (text: string, uses?: Uses): string[] => search(TYPES.values(), text, uses).map(({ type }) => type.title);

test.each([
  ["ksampler", ["KSampler", "KSampler (Advanced)", "KSampler Old"]],
  ["ks", ["KSampler", "KSampler (Advanced)", "KSampler Old"]],
  ["vae dec", ["VAE Decode", "VAE Decode (Tiled)"]],
  ["vaedecode", ["VAE Decode", "VAE Decode (Tiled)"]],
  ["load", ["Load VAE", "Load LoRA", "Load Image", "Load Checkpoint", "Cloud Load Image"]],
  ["load im", ["Load Image", "Cloud Load Image"]],
  ["image load", ["Load Image", "Cloud Load Image"]],
  ["vae", ["VAE Encode", "VAE Decode", "VAE Decode (Tiled)", "Load VAE"]],
  ["checkpoint", ["Load Checkpoint"]],
  ["prompt", ["CLIP Text Encode (Prompt)"]],
  ["eli", ["Empty Latent Image"]],
  ["upscl", ["Upscale Image"]],
  ["zzzz", []],
])("%j finds the expected types first", (text, expected) => {
  const found = names(text);
  expect([...found.slice(0, expected.length)].sort()).toEqual([...expected].sort());
  if (expected.length > 0) expect(found[0]).toBe(expected.includes(found[0] ?? "") ? found[0] : expected[0]);
});

test.each([
  ["KSampler", "KSampler"],
  ["save", "Save Image"],
  ["preview", "Preview Image"],
  ["vae d", "VAE Decode"],
  ["sampler", "SamplerCustom"],
  ["encode", "VAE Encode"],
])("%j has %j on top", (text, top) => {
  expect(names(text)[0]).toBe(top);
});

test.each([
  ["in:LATENT out:IMAGE", ["VAE Decode", "VAE Decode (Tiled)"]],
  ["out:vae", ["Load VAE", "Load Checkpoint"]],
  ["out:IMAGE load", ["Load Image", "Cloud Load Image"]],
  ["cat:upscaling", ["Upscale Image"]],
])("the filter %j lets only fitting types through", (text, expected) => {
  expect([...names(text)].sort()).toEqual([...expected].sort());
});

test("no number of uses outranks an exact prefix", () => {
  const uses = { counts: { PaidLoad: 100_000 }, recent: ["PaidLoad"] };
  expect(names("load image", uses)[0]).toBe("Load Image");
  expect(names("loa", uses).indexOf("Cloud Load Image")).toBe(4);
});

test("among equals, what is used often and lately comes first", () => {
  expect(names("vae d", used(NO_USES, "VAEDecodeTiled"))[0]).toBe("VAE Decode (Tiled)");
  expect(names("", used(NO_USES, "SaveImage"))[0]).toBe("Save Image");
});

test("a query is taken apart into filters and words", () => {
  expect(readQuery("in:LATENT big out:IMAGE ")).toEqual({ words: "big", takes: ["LATENT"], gives: ["IMAGE"], categories: [] });
  expect(splitWords("VAEDecodeTiled (fast)")).toEqual(["vae", "decode", "tiled", "fast"]);
});
