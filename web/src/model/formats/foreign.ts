// Copied nodes as ComfyUI has them on the clipboard: in the attribute of an element of HTML, in base64, without the
// links in their slots. Its first versions count nodes by their place; later ones have links as in workflows.

import { isArray, isObject, writeJson, type Json, type JsonObject } from "../json";
import { FormatError } from "./errors";
import { idOf, objectOf, parseText, textOf, wholeOf } from "./shape";
import { readRow } from "./workflow/read_links";

/** Under this key of a copied workflow stands where it comes from. */
export const ORIGIN = "easel_clipboard";

const IN_HTML = /data-metadata="([A-Za-z0-9+/=]+)"/;
const MAX_HTML = 32 * 2 ** 20;

/** The nodes on a clipboard, as `paste` takes them; undefined if there are none on it. */
export function copiedText(text: string, html = ""): string | undefined {
  if (text.trimStart().startsWith("{") && text.includes(`"${ORIGIN}"`)) return text;
  const coded = html.length > MAX_HTML ? undefined : IN_HTML.exec(html)?.[1];
  for (const candidate of [coded === undefined ? "" : decoded(coded), text]) {
    const data = candidate.trimStart().startsWith("{") ? parsed(candidate) : null;
    if (isForeign(data)) return writeJson(fromForeign(data));
  }
  return undefined;
}

/** A copy as HTML that ComfyUI takes when it is pasted there; as text it stays what it is. */
export function foreignHtml(copied: string): string {
  const bytes = new TextEncoder().encode(writeJson(toForeign(objectOf(parseText(copied)))));
  let binary = "";
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return `<meta charset="utf-8"><div><span data-metadata="${btoa(binary)}"></span></div><span style="white-space:pre-wrap;">Nodes</span>`;
}

function decoded(coded: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0)));
  } catch {
    return "";
  }
}

function parsed(text: string): Json {
  try {
    return parseText(text);
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

const PARTS = ["links", "groups", "reroutes", "subgraphs"];

/** A whole workflow says its version, a copy does not. */
const isForeign = (data: Json): data is JsonObject =>
  isObject(data) && isArray(data["nodes"]) && !Object.hasOwn(data, "version") && !Object.hasOwn(data, "last_node_id") &&
  PARTS.some((key) => isArray(data[key]));

const list = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);

function fromForeign(data: JsonObject): JsonObject {
  const byPlace = list(data["links"]).some((row) => isArray(row) && row.length === 5);
  const nodes = list(data["nodes"]).filter(isObject).map((node, place): JsonObject => (byPlace ? { ...node, id: place + 1 } : node));
  const links = list(data["links"]).flatMap((row, number) => (byPlace ? placedRow(row, number + 1) : namedRow(row, number + 1)));
  const known = new Map(nodes.map((node) => [idOf(node["id"]) ?? "", node]));
  const rows = links.filter((row) => known.has(idOf(row["origin_id"]) ?? "") && known.has(idOf(row["target_id"]) ?? ""));
  const typed = rows.map((row): JsonObject => {
    const output = list(known.get(idOf(row["origin_id"]) ?? "")?.["outputs"])[wholeOf(row["origin_slot"]) ?? 0];
    return { ...row, type: textOf(row["type"]) || textOf(objectOf(output)["type"]) || "*" };
  });
  const into = new Map(typed.map((row) => [`${idOf(row["target_id"])} ${wholeOf(row["target_slot"])}`, row["id"] ?? null]));
  const linked = nodes.map((node): JsonObject => ({
    ...node,
    inputs: list(node["inputs"]).map((slot, number) => ({ ...objectOf(slot), link: into.get(`${idOf(node["id"])} ${number}`) ?? null })),
  }));
  return {
    nodes: linked,
    links: typed,
    groups: list(data["groups"]),
    reroutes: list(data["reroutes"]),
    definitions: { subgraphs: list(data["subgraphs"]) },
    [ORIGIN]: {},
  };
}

/** `[place of the source, output, place of the target, input, id of the source]`. */
function placedRow(row: Json, id: number): JsonObject[] {
  const [source, output, target, input] = (isArray(row) ? row : []).map(wholeOf);
  if (source === undefined || output === undefined || target === undefined || input === undefined) return [];
  return [{ id, origin_id: source + 1, origin_slot: output, target_id: target + 1, target_slot: input }];
}

function namedRow(data: Json, id: number): JsonObject[] {
  const row = readRow(data);
  if (row === undefined) return [];
  const parent = row.parent === undefined ? {} : { parentId: row.parent };
  return [{ id, origin_id: row.source, origin_slot: row.output, target_id: row.target, target_slot: row.input, type: row.type, ...parent }];
}

function toForeign(copied: JsonObject): JsonObject {
  const extra = objectOf(copied["extra"]);
  const parents = new Map(list(extra["linkExtensions"]).map((item) => [idOf(objectOf(item)["id"]), objectOf(item)["parentId"] ?? null]));
  const links = list(copied["links"]).flatMap((data): JsonObject[] => {
    if (!isArray(data)) return [objectOf(data)];
    const [id, origin_id, origin_slot, target_id, target_slot, type] = data.map((part): Json => part);
    const parent = parents.get(idOf(id));
    const row = { id: id ?? null, origin_id: origin_id ?? null, origin_slot: origin_slot ?? null, target_id: target_id ?? null, target_slot: target_slot ?? null, type: type ?? "*" };
    return [parent === undefined ? row : { ...row, parentId: parent }];
  });
  const subgraphs = list(objectOf(copied["definitions"])["subgraphs"]);
  return { nodes: list(copied["nodes"]), groups: list(copied["groups"]), reroutes: list(extra["reroutes"]), links, subgraphs };
}
