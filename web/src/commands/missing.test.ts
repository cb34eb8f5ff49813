import { expect, test } from "vitest";
import { nearestName } from "./missing";

const names = ["sd_xl_base_1.0.safetensors", "v1-5-pruned-emaonly.safetensors", "upscale/4x-UltraSharp.pth"];

test.each([
  ["v1-5-pruned.ckpt", "v1-5-pruned-emaonly.safetensors"],
  ["models/sdxl/sd_xl_base_0.9.safetensors", "sd_xl_base_1.0.safetensors"],
  ["4x_UltraSharp.pth", "upscale/4x-UltraSharp.pth"],
  ["zzz.safetensors", undefined],
])("of the models that are here, the nearest to %s is %s", (wanted, nearest) => {
  expect(nearestName(wanted, names)).toBe(nearest);
});

test("where there is one choice only, it is proposed", () => {
  expect(nearestName("anything.safetensors", ["easel-demo.safetensors"])).toBe("easel-demo.safetensors");
  expect(nearestName("anything.safetensors", [])).toBeUndefined();
});
