import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { apply } from "../changes";
import { toPrompt } from "../convert";
import { emptyLevel, levelOf, type Document } from "../document";
import { faults } from "../edit/sound";
import { levelId, ROOT } from "../ids";
import { parseJson, writeJson, type JsonObject } from "../json";
import { readNodeTypes, type NodeTypes } from "../types";
import { copiedText, copyNodes, FormatError, foreignHtml, paste, readText } from "./index";

const TYPES = readNodeTypes(parseJson(readFileSync("src/model/convert/golden/object_info.json", "utf8")));
const CORPUS_TYPES = readNodeTypes(parseJson(readFileSync("src/model/convert/golden/corpus_object_info.json", "utf8")));
const FOLDERS: readonly (readonly [string, NodeTypes])[] = [["../workflows", TYPES], ["../tests/data/workflows", CORPUS_TYPES]];
const FILES = FOLDERS.flatMap(([folder, types]) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".json") && !name.endsWith(".prompt.json"))
    .map((name) => ({ name, types, text: readFileSync(`${folder}/${name}`, "utf8") })),
);
const empty = (): Document => ({ id: "another", levels: new Map([[ROOT, emptyLevel(ROOT)]]), rest: {} });

function opened(text: string, types: NodeTypes): Document {
  const result = readText(text, types);
  if (!result.ok) throw result.error;
  return result.document;
}

const copyAll = (document: Document, types: NodeTypes): string => {
  const { nodes, frames } = levelOf(document, ROOT);
  return copyNodes(document, ROOT, { nodes: nodes.keys(), frames: frames.keys() }, types);
};

const pasted = (into: Document, text: string, types: NodeTypes): Document => {
  const { document } = apply(into, paste(into, ROOT, text, types).change);
  expect(faults(document).filter((fault) => !fault.includes("nowhere"))).toEqual([]);
  return document;
};

/** What a document runs, without the ids that its nodes have. */
function meaning(document: Document, types: NodeTypes): string[] {
  const { prompt, order } = toPrompt(document, types, { random: () => 0, now: new Date(0) });
  const text = (id: string, depth = 0): string => {
    const node = prompt[id] as JsonObject | undefined;
    if (node === undefined || depth > 12) return "?";
    const inputs = Object.entries(node["inputs"] as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => {
      return Array.isArray(value) ? `${name}=${String(value[1])} of (${text(String(value[0]), depth + 1)})` : `${name}=${writeJson(value)}`;
    });
    return `${String(node["class_type"])}: ${inputs.join(", ")}`;
  };
  return order.map((id) => text(id)).sort();
}

describe.each(FILES)("$name", ({ text, types }) => {
  const document = opened(text, types);
  test("copied into another document runs the same", () => {
    expect(meaning(pasted(empty(), copyAll(document, types), types), types)).toEqual(meaning(document, types));
  });
  test("copied beside itself is there twice, and undone not at all", () => {
    const { change } = paste(document, ROOT, copyAll(document, types), types);
    const { document: twice, inverse } = apply(document, change);
    expect(levelOf(twice, ROOT).nodes.size).toBe(2 * levelOf(document, ROOT).nodes.size);
    expect(twice.levels.size).toBe(document.levels.size);
    expect(apply(twice, inverse).document).toEqual(document);
  });
  test("goes through ComfyUI's clipboard and back", () => {
    const html = foreignHtml(copyAll(document, types));
    const back = copiedText("Nodes", html) ?? "";
    expect(meaning(pasted(empty(), back, types), types)).toEqual(meaning(document, types));
  });
});

const node = (type: string, more: JsonObject): JsonObject => ({ type, pos: [0, 0], size: [1, 1], mode: 0, ...more });
const LATENT = node("EmptyLatentImage", { id: 5, outputs: [{ name: "LATENT", type: "LATENT", links: [] }], widgets_values: [64, 64, 1] });
const SAMPLER = node("KSampler", { id: 3, inputs: [{ name: "model", type: "MODEL", link: null }, { name: "latent_image", type: "LATENT", link: null }] });
const html = (data: JsonObject): string => `<meta charset='utf-8'><div><span data-metadata="${btoa(writeJson(data))}"></span></div><span>Text</span>`;

describe("ComfyUI's own copies", () => {
  test.each([
    ["with links as in workflows", { nodes: [LATENT, SAMPLER], groups: [], reroutes: [], links: [{ id: 9, origin_id: 5, origin_slot: 0, target_id: 3, target_slot: 1, type: "LATENT" }, { id: 10, origin_id: 77, origin_slot: 0, target_id: 3, target_slot: 0, type: "MODEL" }], subgraphs: [] }],
    ["with links by place", { nodes: [{ ...LATENT, id: -1 }, { ...SAMPLER, id: -1 }], links: [[0, 0, 1, 1, 5]] }],
  ])("%s", (_, data) => {
    for (const text of [copiedText("Text", html(data)), copiedText(writeJson(data))]) {
      const document = pasted(empty(), text ?? "", TYPES);
      expect(writeJson(toPrompt(document, TYPES).prompt)).toContain('"latent_image":["1",0]');
      expect(levelOf(document, ROOT).links.size).toBe(1);
    }
  });
  test("hold their subgraphs", () => {
    const data = { nodes: [node("sub", { id: 1 })], links: [], subgraphs: [{ id: "sub", name: "Sub", nodes: [{ ...LATENT }], links: [] }] };
    const document = pasted(empty(), copiedText("", html(data)) ?? "", TYPES);
    expect(document.levels.get(levelId("sub"))?.nodes.size).toBe(1);
  });
});

test.each(["", "text", "{", "{}", '{"nodes":[]}', '{"nodes":[],"links":[],"version":0.4}', '{"1":{"class_type":"A"}}', "null"])("%j is no copy", (text) => {
  expect(copiedText(text)).toBeUndefined();
  expect(copiedText("", `<span data-metadata="${btoa(text)}">`)).toBeUndefined();
});
test("what is no base64 is no copy", () => {
  expect(copiedText("", '<span data-metadata="====">')).toBeUndefined();
});

test("incoming links are taken along into the same level, and only on request", () => {
  const document = opened(readFileSync("../workflows/text_to_image.json", "utf8"), TYPES);
  const level = levelOf(document, ROOT);
  const sampler = [...level.nodes.values()].find(({ type }) => type === "KSampler");
  if (sampler === undefined) throw new Error("there is one");
  const copied = copyNodes(document, ROOT, { nodes: [sampler.id] }, TYPES);
  const links = (withLinks: boolean, into: Document): number => {
    const made = paste(into, ROOT, copied, TYPES, { withLinks });
    const after = apply(into, made.change).document;
    return [...levelOf(after, ROOT).links.values()].filter((link) => made.nodes.includes(link.to.node)).length;
  };
  expect([links(true, document), links(false, document), links(true, empty())]).toEqual([4, 0, 0]);
});

test("a subgraph is not pasted into itself", () => {
  const document = opened(readFileSync("../tests/data/workflows/subgraph_nested.json", "utf8"), CORPUS_TYPES);
  const copied = copyAll(document, CORPUS_TYPES);
  for (const id of [...document.levels.keys()].filter((each) => each !== ROOT)) {
    expect(() => paste(document, id, copied, CORPUS_TYPES)).toThrow(FormatError);
  }
});
