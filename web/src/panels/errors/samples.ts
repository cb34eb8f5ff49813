// Made-up objections of the server, for tests and for the bench.

import type { Faults } from "../../net";

export const FAULTS: Faults = {
  "4": {
    type: "CheckpointLoaderSimple",
    outputs: ["9"],
    faults: [
      {
        type: "value_not_in_list",
        message: "Value not in list",
        details: "ckpt_name: 'easel-demo.safetensor' not in ['easel-demo.safetensors', 'other.safetensors']",
        input: "ckpt_name",
        received: "easel-demo.safetensor",
        expected: { type: "COMBO", choices: ["easel-demo.safetensors", "other.safetensors"] },
      },
    ],
  },
  "5:3": {
    type: "KSampler",
    outputs: ["9"],
    faults: [
      {
        type: "value_bigger_than_max",
        message: "Value 20000 bigger than max of 10000",
        details: "steps",
        input: "steps",
        received: 20000,
        expected: { type: "INT", min: 1, max: 10000 },
      },
      { type: "required_input_missing", message: "Required input is missing", details: "latent_image", input: "latent_image" },
    ],
  },
};
