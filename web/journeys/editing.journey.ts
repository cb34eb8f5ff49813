// What people do with the editor, from the first start on: a sentence each. One server for all of them.

import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";
import { accessJourneys } from "./editing/access";
import { badFilesJourneys } from "./editing/bad-files";
import { buildJourneys } from "./editing/build";
import { fieldsJourneys } from "./editing/fields";
import { filesJourneys } from "./editing/files";
import { keyboardJourneys } from "./editing/keyboard";
import { runsJourneys } from "./editing/runs";
import { startJourneys } from "./editing/start";
import { structureJourneys } from "./editing/structure";
import { desk } from "./lib/desk";
import { ROOT } from "./lib/server";

/** The demo model, also in a folder; an embedding and a LoRA by name; the example pictures. */
const at = desk((base) => {
  const [checkpoints, embeddings, loras] = ["checkpoints", "embeddings", "loras"].map((kind) => join(base, "models", kind)) as [string, string, string];
  mkdirSync(join(checkpoints, "people"), { recursive: true });
  for (const name of ["easel-demo.safetensors", "people/portraits.safetensors"]) {
    symlinkSync(join(ROOT, "models", "checkpoints", "easel-demo.safetensors"), join(checkpoints, name));
  }
  mkdirSync(embeddings);
  writeFileSync(join(embeddings, "moonlight.safetensors"), "");
  mkdirSync(join(loras, "style"), { recursive: true });
  writeFileSync(join(loras, "style", "ink v2.safetensors"), "");
  cpSync(join(ROOT, "input"), join(base, "input"), { recursive: true });
});

describe("the first start", () => startJourneys(at));
describe("building", () => buildJourneys(at));
describe("fields", () => fieldsJourneys(at));
describe("running", () => runsJourneys(at));
describe("structure", () => structureJourneys(at));
describe("files", () => filesJourneys(at));
describe("files that are none", () => badFilesJourneys(at));
describe("for everybody", () => accessJourneys(at));
describe("keyboard, phone and settings", () => keyboardJourneys(at));
