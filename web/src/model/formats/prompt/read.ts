// Prompt JSON (the API format) as a document, laid out.

import { emptyLevel, type Document, type Level, type Link, type Node, type Slot } from "../../document";
import { linkId, nodeId, ROOT, type LinkId, type NodeId } from "../../ids";
import { isArray, isObject, type Json, type JsonObject } from "../../json";
import { inputsOf } from "../../inputs";
import type { InputType, NodeType, NodeTypes } from "../../types";
import { FormatError, type Notice } from "../errors";
import { badShape, idOf, objectOf, textOf } from "../shape";
import { isControlled } from "../workflow/layouts";
import { isWorkflow, MAX_NODES, type Opened } from "../workflow/read";
import { outputNames } from "../workflow/read_node";
import { estimatedSize, laidOut } from "./layout";

/** Whether parsed JSON looks like a prompt: an object of nodes, one of them with a type. */
export const isPrompt = (data: Json): data is JsonObject =>
  isObject(data) && !isWorkflow(data) && Object.values(data).some((node) => isObject(node) && Object.hasOwn(node, "class_type"));

interface Wire {
  readonly input: string;
  readonly source: NodeId;
  readonly output: number;
}

interface Part {
  readonly id: NodeId;
  readonly type: string;
  readonly title: string;
  readonly values: readonly [string, Json][];
  readonly wires: readonly Wire[];
}

export function readPrompt(data: Json, types: NodeTypes): Opened {
  if (!isPrompt(data)) {
    const hint = "A prompt is an object of nodes, each with class_type and inputs.";
    throw new FormatError("not-a-workflow", "this JSON is no prompt", hint, "$");
  }
  const entries = Object.entries(data);
  if (entries.length > MAX_NODES) {
    throw new FormatError("too-many-nodes", `${entries.length} nodes are more than ${MAX_NODES}`, "Open a smaller prompt.", "$");
  }
  const parts = entries.map(([id, node]) => readPart(id, node));
  const used = new Map<NodeId, number>();
  for (const wire of parts.flatMap((part) => part.wires)) used.set(wire.source, Math.max(used.get(wire.source) ?? 0, wire.output + 1));
  const nodes = new Map(parts.map((part) => [part.id, nodeOf(part, used.get(part.id) ?? 0, types.get(part.type))]));
  const links = linksOf(parts, nodes);
  const level: Level = { ...emptyLevel(ROOT), nodes, links };
  const positions = laidOut(level);
  const settled = [...nodes.values()].map((node): [NodeId, Node] => [node.id, { ...node, position: positions.get(node.id) ?? node.position }]);
  const document: Document = { id: crypto.randomUUID(), levels: new Map([[ROOT, { ...level, nodes: new Map(settled) }]]), rest: {} };
  return { document, notices: missingSources(links, nodes) };
}

function readPart(id: string, data: Json): Part {
  const path = `$[${JSON.stringify(id)}]`;
  if (!isObject(data)) throw badShape(path, "a node, an object with class_type and inputs", data);
  const type = data["class_type"];
  if (typeof type !== "string") throw badShape(`${path}.class_type`, "the name of a node type", type);
  const inputs = data["inputs"] ?? {};
  if (!isObject(inputs)) throw badShape(`${path}.inputs`, "an object with a value for each input", inputs);
  const values: [string, Json][] = [];
  const wires: Wire[] = [];
  for (const [input, value] of Object.entries(inputs)) {
    const wire = wireOf(input, value);
    if (wire !== undefined) wires.push(wire);
    else values.push([input, isObject(value) && Object.hasOwn(value, "__value__") ? (value["__value__"] ?? null) : value]);
  }
  return { id: nodeId(id), type, title: textOf(objectOf(data["_meta"])["title"]), values, wires };
}

function wireOf(input: string, value: Json): Wire | undefined {
  if (!isArray(value) || value.length !== 2) return undefined;
  const [source, output] = [idOf(value[0]), value[1]];
  const isNumber = typeof output === "number" && Number.isSafeInteger(output) && output >= 0 && output < 1000;
  return source !== undefined && isNumber ? { input, source: nodeId(source), output } : undefined;
}

function nodeOf(part: Part, usedOutputs: number, type: NodeType | undefined): Node {
  const values = Object.fromEntries(part.values.filter(([, value]) => value !== null));
  const declared = type === undefined ? [] : inputsOf(type, values, new Set(part.wires.map((wire) => wire.input)));
  const inputs = socketsOf(part, declared);
  const outputs = outputsOf(usedOutputs, type);
  const controlled = declared.filter((input) => isControlled(input) && part.values.some(([name]) => name === input.name));
  const isOwnTitle = part.title !== "" && part.title !== type?.title && part.title !== part.type;
  return {
    id: part.id,
    type: part.type,
    ...(isOwnTitle ? { title: part.title } : {}),
    position: { x: 0, y: 0 },
    size: estimatedSize(type && { ...type, inputs: declared }, { inputs: inputs.length + (type === undefined ? part.values.length : 0), outputs: outputs.length }),
    mode: "normal",
    collapsed: false,
    pinned: false,
    values,
    control: Object.fromEntries(controlled.map((input) => [input.name, "fixed" as const])),
    inputs,
    outputs,
    properties: { "Node name for S&R": part.type },
    rest: {},
  };
}

/** Sockets in the order of the definition, and the widgets that have a link. */
function socketsOf(part: Part, declared: readonly InputType[]): Slot[] {
  const linked = new Set(part.wires.map((wire) => wire.input));
  const slot = (input: InputType): Slot => ({ name: input.name, type: input.type, ...(input.widget === undefined ? {} : { widget: true }) });
  const known = declared.filter((input) => input.widget === undefined || linked.has(input.name)).map(slot);
  const others = [...linked].filter((name) => !declared.some((input) => input.name === name));
  return [...known, ...others.map((name): Slot => ({ name, type: "*" }))];
}

function outputsOf(used: number, type: NodeType | undefined): Slot[] {
  const names = type === undefined ? [] : outputNames(type);
  const known = names.map((name, number): Slot => ({ name, type: type?.outputs[number]?.type ?? "*" }));
  const more = Array.from({ length: Math.max(0, used - known.length) }, (_, number): Slot => {
    return { name: `#${known.length + number}`, type: "*" };
  });
  return [...known, ...more];
}

function linksOf(parts: readonly Part[], nodes: ReadonlyMap<NodeId, Node>): Map<LinkId, Link> {
  const links = new Map<LinkId, Link>();
  for (const part of parts) {
    for (const wire of part.wires) {
      const output = nodes.get(wire.source)?.outputs[wire.output];
      const id = linkId(links.size + 1);
      const from = { node: wire.source, slot: output?.name ?? `#${wire.output}` };
      links.set(id, { id, from, to: { node: part.id, slot: wire.input }, type: output?.type ?? "*" });
    }
  }
  return links;
}

function missingSources(links: ReadonlyMap<LinkId, Link>, nodes: ReadonlyMap<NodeId, Node>): Notice[] {
  return [...links.values()].filter((link) => !nodes.has(link.from.node)).map((link) => ({
    code: "dangling-link",
    message: `input ${link.to.slot} of node ${link.to.node} is linked to node ${link.from.node}, which the file does not have`,
    level: ROOT,
    node: link.to.node,
  }));
}
