// What a document needs and the server has not: node types, models, input files. Found without holding up its opening.

import type { Document, Node } from "../model/document";
import { isArray, isObject, type Json, type JsonObject } from "../model/json";
import { levelId } from "../model/ids";
import type { NodeTypes } from "../model/types";
import type { MissingReport } from "../state/ui";

/** Types that only the editor knows. */
const OURS = new Set(["Note", "MarkdownNote", "Reroute", "PrimitiveNode", "GetNode", "SetNode"]);
const FILE = /\.[a-z0-9]{2,12}$/i;

export function findMissing(document: Document, types: NodeTypes, title: string): MissingReport {
  const nodes = new Map<string, { type: string; count: number; pack?: string }>();
  const models = new Map<string, MissingReport["models"][number]>();
  const inputs: MissingReport["inputs"][number][] = [];
  for (const level of document.levels.values()) {
    for (const node of level.nodes.values()) {
      if (OURS.has(node.type) || document.levels.has(levelId(node.type))) continue;
      if (!types.has(node.type)) {
        const known = nodes.get(node.type);
        nodes.set(node.type, { type: node.type, count: (known?.count ?? 0) + 1, ...packOf(node) });
        continue;
      }
      for (const absent of absentFiles(node, types)) {
        if (absent.upload) inputs.push({ node: node.title ?? node.type, name: absent.name, value: absent.value });
        else models.set(absent.value, { name: absent.value, ...linkOf(node, document, absent.value) });
      }
    }
  }
  return { title, nodes: [...nodes.values()], models: [...models.values()], inputs };
}

export const countMissing = (report: MissingReport): number =>
  report.nodes.length + report.models.length + report.inputs.length;

function absentFiles(node: Node, types: NodeTypes): { name: string; value: string; upload: boolean }[] {
  return (types.get(node.type)?.inputs ?? []).flatMap((input) => {
    const value = node.values[input.name];
    if (input.widget?.kind !== "choice" || typeof value !== "string" || !FILE.test(value)) return [];
    if (input.widget.options.includes(value)) return [];
    return [{ name: input.name, value, upload: input.widget.upload !== undefined }];
  });
}

const packOf = (node: Node): { pack?: string } => {
  const pack = node.properties["cnr_id"] ?? node.properties["aux_id"];
  return typeof pack === "string" ? { pack } : {};
};

const listIn = (data: JsonObject): readonly Json[] => (isArray(data["models"]) ? data["models"] : []);

/** Where a model comes from, as the node or the workflow says it; only addresses of the web count. */
function linkOf(node: Node, document: Document, name: string): { folder: string; url?: string } {
  const listed = [...listIn(node.properties), ...listIn(document.rest)];
  const entry = listed.find((model) => isObject(model) && model["name"] === name);
  if (!isObject(entry)) return { folder: "" };
  const { directory, url } = entry;
  return {
    folder: typeof directory === "string" ? directory : "",
    ...(typeof url === "string" && /^https?:\/\//.test(url) ? { url } : {}),
  };
}
