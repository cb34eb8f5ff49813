// Reader of the community's workflow JSON: version 0.4 and 1, root and definitions, in the shapes that old files have.

import type { Definition, Document, Frame, Level, Node, Point, Port } from "../../document";
import { frameId, levelId, nodeId, ROOT, type FrameId, type LevelId, type NodeId } from "../../ids";
import { isArray, isObject, type Json, type JsonObject } from "../../json";
import type { NodeTypes } from "../../types";
import { FormatError, type Notice } from "../errors";
import { badShape, HIDDEN_LINKS, highest, idOf, listOf, objectOf, outline, pointOf, remembering, sizeOf, textOf, typeOf, uniqueNames, without } from "../shape";
import { layoutOf, type Levels } from "./layouts";
import { named, optionalText, readNode, type ReadNode } from "./read_node";
import { readLinks, readParents, readReroutes } from "./read_links";

export const MAX_NODES = 100_000;

export interface Opened {
  readonly document: Document;
  readonly notices: readonly Notice[];
}

const ROOT_KEYS: ReadonlySet<string> = new Set([
  "id", "version", "last_node_id", "last_link_id", "nodes", "links", "groups", "reroutes", "definitions",
]);
const LEVEL_KEYS: ReadonlySet<string> = new Set([
  "id", "version", "name", "description", "category", "inputs", "outputs", "inputNode", "outputNode", "nodes", "links",
  "groups", "reroutes",
]);
const FRAME_KEYS: ReadonlySet<string> = new Set(["id", "title", "bounding", "color"]);
const PORT_KEYS: ReadonlySet<string> = new Set(["id", "name", "type", "label", "linkIds"]);
const REROUTE_KEYS: ReadonlySet<string> = new Set(["reroutes", "linkExtensions", HIDDEN_LINKS]);
const SUBGRAPHS: ReadonlySet<string> = new Set(["subgraphs"]);

export const isWorkflow = (data: Json): data is JsonObject => isObject(data) && isArray(data["nodes"]);

interface Reading {
  readonly types: NodeTypes;
  readonly definitions: ReadonlyMap<string, Definition>;
  readonly notices: Notice[];
}

/**
 * The document in parsed JSON. Values get their names with the help of `types`; of a type that is not there they are
 * kept as they are, see `withTypes`. Raises FormatError for what is no workflow, and for nodes without sense.
 */
export function readWorkflow(data: Json, types: NodeTypes): Opened {
  if (!isWorkflow(data)) {
    throw new FormatError("not-a-workflow", "this JSON is no workflow", "A workflow is an object with a list of nodes.", "$");
  }
  const subgraphs = subgraphsOf(data);
  const definitions = new Map(subgraphs.map(({ id, raw, path }) => [id as string, readDefinition(raw, path)]));
  const reading: Reading = { types, definitions, notices: [] };
  const levels = new Map<LevelId, Level>([[ROOT, readLevel(data, ROOT, "$", reading)]]);
  for (const { id, raw, path } of subgraphs) levels.set(id, readLevel(raw, id, path, reading));
  for (const id of inThemselves(levels)) {
    const name = levels.get(id)?.definition?.name ?? id;
    reading.notices.push({ code: "subgraph-in-itself", message: `subgraph ${name} contains itself`, level: id });
  }
  const others = without(objectOf(data["definitions"]), SUBGRAPHS);
  const extra = objectOf(data["extra"]);
  const rest = {
    ...without(data, ROOT_KEYS),
    ...(isObject(data["extra"]) ? { extra: without(extra, REROUTE_KEYS) } : {}),
    ...(Object.keys(others).length > 0 ? { definitions: others } : {}),
  };
  const known = new Set(["id", "version", "last_node_id", "last_link_id"]);
  const document: Document = {
    id: textOf(data["id"]) || crypto.randomUUID(),
    levels: withNames(levels, types),
    rest: remembering(rest, outline(data, known), { extra: outline(extra, new Set()) }),
  };
  return { document, notices: reading.notices };
}

interface Subgraph {
  readonly id: LevelId;
  readonly raw: JsonObject;
  readonly path: string;
}

function subgraphsOf(data: JsonObject): Subgraph[] {
  const path = "$.definitions.subgraphs";
  const found = listOf(objectOf(data["definitions"])["subgraphs"], path).map((raw, number): Subgraph => {
    if (!isObject(raw)) throw badShape(`${path}[${number}]`, "a subgraph", raw);
    const id = idOf(raw["id"]);
    if (id === undefined) throw badShape(`${path}[${number}].id`, "an id", raw["id"]);
    return { id: levelId(id), raw, path: `${path}[${number}]` };
  });
  const seen = new Set<string>([ROOT]);
  const twice = found.find(({ id }) => seen.size === seen.add(id).size);
  if (twice === undefined) return found;
  throw new FormatError("bad-shape", `two subgraphs have the id ${twice.id}`, "Remove one of them from the file.", twice.path);
}

/** Subgraphs that contain themselves, at any depth. Conversion refuses them. */
function inThemselves(levels: Levels): LevelId[] {
  const inside = (level: Level): LevelId[] => [...level.nodes.values()].map((node) => levelId(node.type)).filter((id) => levels.has(id));
  const uses = new Map([...levels].map(([id, level]): [LevelId, ReadonlySet<LevelId>] => [id, new Set(inside(level))]));
  // What uses nothing that is left is in no circle, and what is used by nothing that is left is in none either.
  return [...peeled(reversed(peeled(uses))).keys()];
}

type Uses = ReadonlyMap<LevelId, ReadonlySet<LevelId>>;

/** Each level with the levels that use it. */
function reversed(uses: Uses): Uses {
  const users = new Map<LevelId, Set<LevelId>>([...uses.keys()].map((id) => [id, new Set()]));
  for (const [id, used] of uses) for (const inner of used) users.get(inner)?.add(id);
  return users;
}

/** Without the levels that use none, again and again. */
function peeled(uses: Uses): Uses {
  const users = reversed(uses);
  const left = new Map([...uses].map(([id, used]) => [id, used.size]));
  const open = [...left].filter(([, count]) => count === 0).map(([id]) => id);
  const gone = new Set<LevelId>();
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    gone.add(id);
    for (const user of users.get(id) ?? []) {
      const count = (left.get(user) ?? 0) - 1;
      left.set(user, count);
      if (count === 0) open.push(user);
    }
  }
  return new Map([...uses].filter(([id]) => !gone.has(id)).map(([id, used]) => [id, new Set([...used].filter((inner) => !gone.has(inner)))]));
}

function readDefinition(data: JsonObject, path: string): Definition {
  const [description, category] = [optionalText(data["description"]), optionalText(data["category"])];
  return {
    name: textOf(data["name"]),
    ...(description === undefined ? {} : { description }),
    ...(category === undefined ? {} : { category }),
    inputs: readPorts(data["inputs"], `${path}.inputs`),
    outputs: readPorts(data["outputs"], `${path}.outputs`),
    inputPosition: placeOf(data["inputNode"]),
    outputPosition: placeOf(data["outputNode"]),
  };
}

export const placeOf = (node: Json | undefined): Point => pointOf(objectOf(node)["bounding"]);

function readPorts(data: Json | undefined, path: string): Port[] {
  const items = listOf(data, path).map((item, number) => {
    if (!isObject(item)) throw badShape(`${path}[${number}]`, "a socket", item);
    return item;
  });
  const names = uniqueNames(items.map((item) => textOf(item["name"])));
  return items.map((item, number): Port => {
    const label = optionalText(item["label"]);
    const name = names[number] ?? "";
    const said = textOf(item["name"]);
    const rest = { ...without(item, PORT_KEYS), ...(name === said ? {} : { name: said }) };
    return {
      id: idOf(item["id"]) ?? name,
      name,
      type: typeOf(item["type"]),
      ...(label === undefined ? {} : { label }),
      rest: remembering(rest, outline(item, PORT_KEYS)),
    };
  });
}

function readLevel(data: JsonObject, id: LevelId, path: string, reading: Reading): Level {
  const { types, definitions, notices } = reading;
  const nodes = readNodes(data, id, path, reading);
  const ports = id === ROOT ? undefined : definitions.get(id);
  const inside = ports === undefined ? {} : { inside: { ports, inputs: border(data, "inputNode", "-10"), outputs: border(data, "outputNode", "-20") } };
  const extra = objectOf(data["extra"]);
  const reroutes = isArray(data["reroutes"]) ? data["reroutes"] : softList(extra["reroutes"]);
  const parents = softList(extra["linkExtensions"]);
  const via = readParents(parents);
  const hidden = new Set(softList(extra[HIDDEN_LINKS]).flatMap((link) => idOf(link) ?? []));
  const rows = listOf(data["links"], `${path}.links`);
  const { links, strays, dangling } = readLinks(rows, { nodes, types, definitions, via, hidden, ...inside });
  for (const link of dangling) {
    const message = `input ${link.to.slot} of node ${link.to.node} is linked to node ${link.from.node}, which the file does not have`;
    notices.push({ code: "dangling-link", message, level: id, node: link.to.node });
  }
  if (strays.length > 0) notices.push({ code: "link-not-used", message: `${strays.length} links lead nowhere`, level: id });
  const own = ports === undefined ? {} : remembering(without(data, LEVEL_KEYS), outline(data, LEVEL_KEYS_SPELLED), { strays, reroutes, parents });
  return {
    id,
    nodes: new Map(nodes.map(({ node }) => [node.id, node])),
    links,
    frames: readFrames(data["groups"]),
    reroutes: readReroutes(reroutes),
    ...(ports === undefined ? {} : { definition: ports }),
    rest: ports === undefined ? remembering({}, null, { strays, reroutes, parents }) : own,
  };
}

/** Of a level's keys those whose spelling counts. Its nodes and links remember theirs. */
const LEVEL_KEYS_SPELLED: ReadonlySet<string> = new Set([
  "id", "version", "name", "description", "category", "inputNode", "outputNode",
]);

const softList = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);

/** The id under which links name the border of a subgraph. */
const border = (data: JsonObject, key: string, otherwise: string): string => idOf(objectOf(data[key])["id"]) ?? otherwise;

function readNodes(data: JsonObject, level: LevelId, path: string, reading: Reading): ReadNode[] {
  const items = listOf(data["nodes"], `${path}.nodes`);
  if (items.length > MAX_NODES) {
    const message = `${items.length} nodes are more than the limit of ${MAX_NODES}`;
    throw new FormatError("too-many-nodes", message, "Open a smaller workflow.", `${path}.nodes`);
  }
  const used = new Set(items.map((item) => idOf(objectOf(item)["id"]) ?? ""));
  const seen = new Set<string>();
  let next = highest(used) + 1;
  const taken = (id: string): NodeId => {
    const own = seen.has(id) ? String(next++) : id;
    seen.add(own);
    if (own !== id) {
      const message = `two nodes have the id ${id}; the second one is ${own} now`;
      reading.notices.push({ code: "duplicate-node-id", message, level, node: nodeId(own) });
    }
    return nodeId(own);
  };
  return items.map((item, number) => {
    const kind = objectOf(item)["type"];
    const type = typeof kind === "string" && !reading.definitions.has(kind) ? reading.types.get(kind) : undefined;
    return readNode(item, `${path}.nodes[${number}]`, type, taken);
  });
}

function readFrames(data: Json | undefined): Map<FrameId, Frame> {
  const frames = new Map<FrameId, Frame>();
  const items = softList(data).filter(isObject);
  let next = highest(items.map((item) => idOf(item["id"]) ?? "")) + 1;
  for (const item of items) {
    const said = idOf(item["id"]);
    const id = said === undefined || frames.has(frameId(said)) ? frameId(next++) : frameId(said);
    const color = optionalText(item["color"]);
    frames.set(id, {
      id,
      title: textOf(item["title"]),
      ...frameBox(item["bounding"]),
      ...(color === undefined ? {} : { color }),
      rest: remembering(without(item, FRAME_KEYS), outline(item, FRAME_KEYS)),
    });
  }
  return frames;
}

export function frameBox(bounding: Json | undefined): Pick<Frame, "position" | "size"> {
  const corner = isArray(bounding) ? bounding.slice(2) : [];
  return { position: pointOf(bounding), size: sizeOf(corner, { width: 140, height: 80 }) };
}

/** Values by name, of all nodes whose widgets are known. */
function withNames(levels: Levels, types: NodeTypes): Levels {
  return new Map(
    [...levels].map(([id, level]) => {
      const nodes = [...level.nodes.values()].map((node): [NodeId, Node] => [node.id, named(node, layoutOf(node, levels, types))]);
      return [id, { ...level, nodes: new Map(nodes) }];
    }),
  );
}
