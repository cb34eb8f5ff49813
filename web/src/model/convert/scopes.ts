// Subgraph instances opened up: every level that runs, with its place among the others.

import { levelOf, type Document, type Level, type Node } from "../document";
import { levelId, ROOT, type LevelId, type NodeId } from "../ids";
import type { Json } from "../json";
import { layoutOf, type Levels } from "../formats/workflow/layouts";
import { named } from "../formats/workflow/read_node";
import type { NodeTypes } from "../types";
import { ConvertError } from "./errors";

export const MAX_NODES = 100_000;
export const MAX_NESTING = 64;

/** A level at one place: the root, or the inside of one instance of a subgraph. */
export interface Scope {
  readonly level: Level;
  /** The levels from the root to this one, and the instances between them. */
  readonly path: readonly LevelId[];
  readonly instances: readonly NodeId[];
  readonly parent?: Scope;
  readonly instance?: Node;
  /** The values that the instance holds for its subgraph's inputs. */
  readonly promoted: ReadonlyMap<string, Json>;
  /** The insides of the instances in this level. */
  readonly children: Map<NodeId, Scope>;
}

/** The id under which the server knows a node. */
export const serverId = (scope: Pick<Scope, "instances">, node: NodeId): string => [...scope.instances, node].join(":");

export interface Placed {
  readonly scope: Scope;
  readonly node: Node;
}

export interface Opened {
  /** Nodes that may run, in the order of the document, the inside of an instance in its place. */
  readonly nodes: readonly Placed[];
  /** Instances, and nodes inside: everything that has a server id. */
  readonly all: readonly Placed[];
}

/** Every node with its place. The insides of muted and bypassed instances are left out. */
export function openUp(document: Document, types: NodeTypes): Opened {
  const root: Scope = { level: levelOf(document, ROOT), path: [ROOT], instances: [], promoted: new Map(), children: new Map() };
  const nodes: Placed[] = [];
  const all: Placed[] = [];
  const stack: [Scope, Iterator<Node>][] = [[root, root.level.nodes.values()]];
  let total = root.level.nodes.size;
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const [scope, rest] = top;
    const next = rest.next();
    if (next.done === true) {
      stack.pop();
      continue;
    }
    const node = next.value;
    const inner = document.levels.get(levelId(node.type));
    all.push({ scope, node });
    if (inner?.definition === undefined) nodes.push({ scope, node });
    else if (node.mode === "normal") {
      total += inner.nodes.size;
      check(inner, scope, total);
      const child = inside(scope, node, inner, document.levels, types);
      scope.children.set(node.id, child);
      stack.push([child, inner.nodes.values()]);
    }
  }
  return { nodes, all };
}

function inside(scope: Scope, node: Node, inner: Level, levels: Levels, types: NodeTypes): Scope {
  const { values } = node.unnamedValues === undefined ? node : named(node, layoutOf(node, levels, types));
  return {
    level: inner,
    path: [...scope.path, inner.id],
    instances: [...scope.instances, node.id],
    parent: scope,
    instance: node,
    promoted: new Map(Object.entries(values)),
    children: new Map(),
  };
}

function check(inner: Level, scope: Scope, total: number): void {
  const name = inner.definition?.name ?? inner.id;
  if (scope.path.includes(inner.id)) {
    throw new ConvertError("subgraph-in-itself", `subgraph ${name} contains itself`, "Remove its instance from its inside.");
  }
  if (total > MAX_NODES) {
    const message = `with the insides of its subgraphs the workflow has more than ${MAX_NODES} nodes`;
    throw new ConvertError("too-many-nodes", message, "Use fewer instances.");
  }
  if (scope.path.length > MAX_NESTING) {
    throw new ConvertError("nested-too-deep", `subgraphs nest deeper than ${MAX_NESTING} levels`, "Unpack some of them.");
  }
}
