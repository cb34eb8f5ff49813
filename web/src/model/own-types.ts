// Node types of the editor itself. The server follows them when it reads a workflow, but does not list them: they never run.

import type { InputType, NodeType, NodeTypes } from "./types";

/** Links by name: what a SetNode is given under a name comes out of every GetNode of that name. */
export const SET = "SetNode";
export const GET = "GetNode";

const VALUE: InputType = { name: "value", type: "*", required: true, advanced: false, lazy: false, options: {} };
const NAME: InputType = {
  name: "name",
  type: "STRING",
  required: true,
  advanced: false,
  lazy: false,
  options: {},
  widget: { kind: "text", default: "", multiline: false, dynamicPrompts: false },
};

const own = (name: string, title: string, description: string, inputs: readonly InputType[]): NodeType => ({
  name,
  title,
  description,
  category: "utils",
  pack: "",
  inputs,
  outputs: [{ name: "value", type: "*", isList: false }],
  isOutput: false,
  deprecated: false,
  experimental: false,
});

const OWN: readonly NodeType[] = [
  own(SET, "Set", "Keep what comes in under a name; Get nodes of that name give it, without a line across the graph.", [VALUE, NAME]),
  own(GET, "Get", "Give what the Set node of the same name was given.", [NAME]),
];

/** The server's types and the editor's own; a pack that brings its own node of the name does not change ours. */
export const withOwnTypes = (types: NodeTypes): NodeTypes => new Map([...types, ...OWN.map((type) => [type.name, type] as const)]);
