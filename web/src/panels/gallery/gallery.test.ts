import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../model/json";
import { detailsOf, sampleJob } from "../queue/samples";
import { allMedia, mediaOf, passes } from "./media";
import { factsOf, literalsOf } from "./metadata";
import { partnerOf } from "./partner";
import { FITTED, fittedScale, panBy, zoomAt } from "./zoom";

const image = (filename: string, type = "output"): JsonObject => ({ filename, subfolder: "", type });

describe("the files of a job", () => {
  const job = sampleJob(1, {
    outputs: {
      "2": { images: [image("preview.png", "temp")] },
      "5": { text: ["a word"] },
      "9": { images: [image("a.png"), image("b.webp")], gifs: [image("c.mp4")], animated: [false] },
    },
  });

  it("come saved ones first, since the first stands for the job; texts last", () => {
    expect(mediaOf(job).map((media) => media.file.filename)).toEqual(["a.png", "b.webp", "c.mp4", "preview.png", "text-5-1.txt"]);
  });

  it("are told apart by kind", () => {
    expect(mediaOf(job).map((media) => media.kind)).toEqual(["image", "image", "video", "image", "text"]);
  });

  it("pass the filters for saved files, previews and texts, each in one of them", () => {
    const by = (filter: "saved" | "previews" | "text"): number => mediaOf(job).filter((media) => passes(media, filter)).length;
    expect([by("saved"), by("previews"), by("text")]).toEqual([3, 1, 1]);
    expect(allMedia([job], "all")).toHaveLength(5);
  });

  it("have keys of their own across jobs", () => {
    const keys = allMedia([job, sampleJob(2, { outputs: job.outputs })], "all").map((media) => media.key);
    expect(new Set(keys).size).toBe(10);
  });

  it("are none where the output is not what was expected", () => {
    expect(mediaOf(sampleJob(1, { outputs: { "1": { images: "none", text: [1], gifs: [{}] } } }))).toEqual([]);
  });
});

describe("what made a picture", () => {
  const prompt: JsonObject = {
    "3": { class_type: "KSampler", inputs: { seed: 12345678901234567890n, steps: 20, cfg: 4.5, sampler_name: "euler", positive: ["10", 0], negative: ["7", 0], latent_image: ["5", 0] } },
    "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "demo.safetensors" } },
    "5": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 96 } },
    "6": { class_type: "CLIPTextEncode", inputs: { text: "a red circle" } },
    "7": { class_type: "CLIPTextEncode", inputs: { text: "blurred" } },
    "10": { class_type: "Guider", inputs: { positive: ["6", 0], negative: ["7", 0] } },
  };
  const facts = Object.fromEntries(factsOf(prompt).map(({ name, value }) => [name, value]));

  it("is told in the words that people look for, the seed exactly", () => {
    expect(facts).toMatchObject({ seed: "12345678901234567890", steps: "20", cfg: "4.5", sampler: "euler", model: "demo.safetensors", size: "64 × 96" });
  });

  it("follows the links from positive and negative, also through nodes that have both", () => {
    expect([facts["prompt"], facts["negative"]]).toEqual(["a red circle", "blurred"]);
  });

  it("lists every value, without the links", () => {
    expect(literalsOf(prompt).find(({ node }) => node === "3")?.facts.map(({ name }) => name)).toEqual(["seed", "steps", "cfg", "sampler_name"]);
  });

  it("ends for links in a circle", () => {
    expect(factsOf({ "1": { class_type: "A", inputs: { positive: ["2", 0] } }, "2": { class_type: "B", inputs: { x: ["1", 0], positive: ["1", 0] } } })).toEqual([]);
  });
});

describe("the picture to compare with", () => {
  it("is of the same node and number in the run before", () => {
    const outputs = (name: string): Record<string, JsonObject> => ({
      "8": { images: [image(`${name}-other.png`)] },
      "9": { images: [image(`${name}-1.png`), image(`${name}-2.png`)] },
    });
    const [before, now] = [sampleJob(1, { outputs: outputs("old") }), sampleJob(2, { outputs: outputs("new") })];
    const current = mediaOf(now).find((media) => media.file.filename === "new-2.png");
    if (current === undefined) throw new Error("it is there");
    expect(partnerOf(current, undefined, detailsOf(before))?.file.filename).toBe("old-2.png");
    expect(partnerOf(current, undefined, null)).toBeUndefined();
    expect(partnerOf(current, current, null)).toBe(current);
  });
});

describe("zooming", () => {
  const place = fc.record({ factor: fc.double({ min: 1.1, max: 8, noNaN: true }), x: fc.integer({ min: -500, max: 500 }), y: fc.integer({ min: -500, max: 500 }) });

  it("keeps the point under the pointer where it is", () => {
    fc.assert(
      fc.property(place, ({ factor, x, y }) => {
        const zoom = zoomAt(FITTED, factor, x, y);
        expect(zoom.x + x * zoom.scale).toBeCloseTo(x);
        expect(zoom.y + y * zoom.scale).toBeCloseTo(y);
      }),
    );
  });

  it("comes back to fitted exactly", () => {
    fc.assert(fc.property(place, ({ factor, x, y }) => {
      expect(zoomAt(zoomAt(FITTED, factor, x, y), 1 / factor, 0, 0)).toEqual(FITTED);
    }));
  });

  it("moves only what is larger than its place", () => {
    expect(panBy(FITTED, 10, 10)).toBe(FITTED);
    expect(panBy({ scale: 2, x: 0, y: 0 }, 10, -5)).toEqual({ scale: 2, x: 10, y: -5 });
  });

  it("knows how large a fitted picture is", () => {
    expect(fittedScale({ width: 512, height: 256 }, { width: 1024, height: 1024 })).toBe(2);
  });
});
