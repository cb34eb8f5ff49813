// What a document needs and the server has not: node types, models, input files. Found without holding up its opening.

import type { Document, Node } from "../model/document";
import { isArray, isObject, type Json, type JsonObject } from "../model/json";
import { all, type Change } from "../model/changes";
import { setValue } from "../model/edit/nodes";
import { levelId } from "../model/ids";
import { inputsOf } from "../model/inputs";
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
        else models.set(absent.value, { name: absent.value, ...linkOf(node, document, absent), ...nearestOf(absent) });
      }
    }
  }
  return { title, nodes: [...nodes.values()], models: [...models.values()], inputs };
}

export const countMissing = (report: MissingReport): number =>
  report.nodes.length + report.models.length + report.inputs.length;

interface Absent {
  readonly name: string;
  readonly value: string;
  readonly upload: boolean;
  readonly options: readonly string[];
}

function absentFiles(node: Node, types: NodeTypes): Absent[] {
  const type = types.get(node.type);
  return (type === undefined ? [] : inputsOf(type, node.values)).flatMap((input) => {
    const value = node.values[input.name];
    if (input.widget?.kind !== "choice" || typeof value !== "string" || !FILE.test(value)) return [];
    if (input.widget.options.includes(value)) return [];
    const options = input.widget.options.filter((option): option is string => typeof option === "string");
    return [{ name: input.name, value, upload: input.widget.upload !== undefined, options }];
  });
}

const packOf = (node: Node): { pack?: string } => {
  const pack = node.properties["cnr_id"] ?? node.properties["aux_id"];
  return typeof pack === "string" ? { pack } : {};
};

const listIn = (data: JsonObject): readonly Json[] => (isArray(data["models"]) ? data["models"] : []);

/** The folder below models/ by the name of the input, where nothing else tells it. */
const FOLDERS: Readonly<Record<string, string>> = {
  ckpt_name: "checkpoints",
  vae_name: "vae",
  lora_name: "loras",
  unet_name: "diffusion_models",
  clip_name: "text_encoders",
  control_net_name: "controlnet",
  model_name: "upscale_models",
};

/** Where a model comes from, as the node or the workflow says it; only addresses of the web count. */
function linkOf(node: Node, document: Document, { name: input, value }: Absent): { folder: string; url?: string } {
  const listed = [...listIn(node.properties), ...listIn(document.rest)];
  const entry = listed.find((model) => isObject(model) && model["name"] === value);
  const usual = FOLDERS[input.replace(/\d+$/, "")] ?? "";
  if (!isObject(entry)) return { folder: usual };
  const { directory, url } = entry;
  return {
    folder: typeof directory === "string" ? directory : usual,
    ...(typeof url === "string" && /^https?:\/\//.test(url) ? { url } : {}),
  };
}

const nearestOf = ({ value, options }: Absent): { nearest?: string } => {
  const nearest = nearestName(value, options);
  return nearest === undefined ? {} : { nearest };
};

const pairsOf = (text: string): Set<string> => {
  const plain = text.replace(/^.*[/\\]/, "").replace(/\.[a-z0-9]+$/i, "").toLowerCase();
  return new Set([...plain].slice(1).map((letter, place) => (plain[place] ?? "") + letter));
};

/** The name that shares most pairs of letters with what was asked for; folders and suffixes do not count. */
export function nearestName(wanted: string, names: readonly string[]): string | undefined {
  const pairs = pairsOf(wanted);
  const likeness = (name: string): number => {
    const others = pairsOf(name);
    return (2 * [...others].filter((pair) => pairs.has(pair)).length) / Math.max(1, pairs.size + others.size);
  };
  const [best] = names.map((name) => ({ name, value: likeness(name) })).sort((left, right) => right.value - left.value);
  return best !== undefined && (best.value >= 0.4 || names.length === 1) ? best.name : undefined;
}

/** The change that puts a choice in the place of one that is missing, wherever it stands. */
export function replaceChoice(document: Document, types: NodeTypes, missing: string, by: string): Change | undefined {
  const changes = [...document.levels.values()].flatMap((level) =>
    [...level.nodes.values()].flatMap((node) =>
      absentFiles(node, types)
        .filter((absent) => absent.value === missing && absent.options.includes(by))
        .flatMap((absent) => setValue(level, node.id, absent.name, by) ?? []),
    ),
  );
  return changes.length === 0 ? undefined : all(...changes);
}
