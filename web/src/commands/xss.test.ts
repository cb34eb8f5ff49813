// Texts in files that try to be more than text: each is kept to the letter, and nothing but an address of the web is one.

import { expect, test } from "vitest";
import { PAYLOADS } from "../../tests/payloads";
import { t } from "../i18n";
import { apply } from "../model/changes";
import { levelOf } from "../model/document";
import { copyNodes, paste, readFile, readText, workflowJson } from "../model/formats";
import { png } from "../model/formats/embedded/testing";
import { ROOT } from "../model/ids";
import { writeJson, type JsonObject } from "../model/json";
import type { NodeTypes } from "../model/types";
import { explain, explainNotices } from "./explain";
import { findMissing } from "./missing";
import { pathOf, titleOf } from "./fileService";

const TYPES: NodeTypes = new Map();

/** A workflow with `text` wherever people or programs can put one. */
const full = (text: string): JsonObject => ({
  id: text,
  nodes: [
    {
      id: 1, type: text, title: text, color: text, bgcolor: text,
      inputs: [{ name: text, type: text, label: text, localized_name: text, link: null, widget: { name: text } }],
      outputs: [{ name: text, type: text, label: text, links: null }],
      properties: { [`p${text}`]: text, "Node name for S&R": text, cnr_id: text, aux_id: text, models: [{ name: text, url: text, directory: text }] },
      widgets_values: [text, { [`v${text}`]: text }],
    },
    { id: 2, type: "MarkdownNote", widgets_values: [text] },
    { id: 3, type: "Note", widgets_values: [text] },
    { id: 4, type: "sub", title: text },
  ],
  links: [],
  groups: [{ id: 1, title: text, color: text, bounding: [0, 0, 1, 1] }],
  models: [{ name: text, url: text, directory: text }],
  definitions: { subgraphs: [{ id: "sub", name: text, description: text, category: text, inputs: [{ id: text, name: text, type: text, label: text }], outputs: [], nodes: [], links: [] }] },
  extra: { [`e${text}`]: text, info: { author: text } },
});

test.each(PAYLOADS)("%j in every field of a workflow stays what it is", (text) => {
  const data = full(text);
  const result = readText(writeJson(data), TYPES);
  if (!result.ok) throw result.error;
  const { document } = result;
  expect(workflowJson(document, TYPES)).toMatchObject({ ...data, definitions: expect.anything() as unknown });
  const [node, note] = [...levelOf(document, ROOT).nodes.values()];
  expect([node?.title, node?.type, node?.color, note?.values["text"]]).toEqual([text, text, text, text]);
  const copied = copyNodes(document, ROOT, { nodes: levelOf(document, ROOT).nodes.keys() }, TYPES);
  expect(apply(document, paste(document, ROOT, copied, TYPES).change).document.levels.size).toBe(2);
  for (const model of findMissing(document, TYPES, text).models) expect(model.url ?? "https://").toMatch(/^https?:/);
});

test.each(PAYLOADS)("%j in a picture is a workflow or a sentence", (text) => {
  for (const key of ["workflow", "prompt", "parameters", "comment", text.replaceAll("\0", "").slice(0, 70) || "k"]) {
    const result = readFile(png({ [key]: text }), text, TYPES);
    if (!result.ok) expect(explain(result.error)).not.toBe("");
  }
  const carried = readFile(png({ workflow: writeJson(full(text)) }, "iTXt"), "a.png", TYPES);
  expect(carried.ok).toBe(true);
  const parameters = readFile(png({ parameters: `${text}\nNegative prompt: ${text}\nSteps: 1, Sampler: ${text}, Model: ${text}, ${text}: ${text}` }, "iTXt"), "a.png", TYPES);
  if (parameters.ok) expect(explainNotices(parameters.notices) ?? "").not.toMatch(/undefined/);
});

test.each(PAYLOADS)("%j as a name is said to the letter, and saved as a name", (text) => {
  expect(t("formats.mended", { name: text })).toBe(`Something in ${text} was mended`);
  expect(titleOf(text)).toBeTypeOf("string");
  const path = pathOf(text);
  expect(path).not.toMatch(/(^|\/)\.\.?(\/|$)|[<>:"|?*\\]|^\//);
});
