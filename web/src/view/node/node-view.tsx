// A node: from far away one element in its category's colour, from near its header, slots, fields and pictures.

import type { NodeProps } from "@xyflow/react";
import { memo, type CSSProperties } from "react";
import type { Node } from "../../model/document";
import { NOTES } from "../../model/edit/slots";
import { useRuns } from "../../state/context";
import { useFar, useServerId } from "../context";
import { categoryHue } from "../look";
import { named } from "../names";
import { NearNode } from "./near-node";
import { NoteNode } from "./note-node";
import { useKind, useNode, type Kind } from "./use-node";

/** Positions are React Flow's affair: a node that is only moved is not drawn again. */
const same = (before: NodeProps, after: NodeProps): boolean => before.id === after.id && before.selected === after.selected;

export const NodeView = memo(function NodeView({ id }: NodeProps): React.JSX.Element | null {
  const { id: own } = named(id);
  const node = useNode(own as Node["id"]);
  if (node === undefined) return null;
  return <Shown node={node} />;
}, same);

function Shown({ node }: { readonly node: Node }): React.JSX.Element {
  const kind = useKind(node);
  const isFar = useFar();
  const style = tint(node, kind);
  if (isFar) return <FarNode node={node} title={kind.title} style={style} />;
  if (NOTES.has(node.type)) return <NoteNode node={node} style={style} />;
  return <NearNode node={node} kind={kind} style={style} />;
}

/** A node's hue comes from its category, unless it was given a colour. */
function tint(node: Node, { type, subgraph }: Kind): CSSProperties {
  if (node.color !== undefined && CSS.supports("color", node.color)) return { "--tint": node.color } as CSSProperties;
  if (NOTES.has(node.type)) return { "--tint": "oklch(var(--type-lightness) 0.11 90)" } as CSSProperties;
  if (type === undefined && subgraph === undefined) return { "--tint": "var(--muted)" } as CSSProperties;
  const hue = subgraph === undefined ? categoryHue(type?.category ?? "") : 185;
  return { "--tint": `oklch(var(--type-lightness) var(--type-chroma) ${hue})` } as CSSProperties;
}

interface FarProps {
  readonly node: Node;
  readonly title: string;
  readonly style: CSSProperties;
}

function FarNode({ node, title, style }: FarProps): React.JSX.Element {
  const serverId = useServerId(node.id);
  const state = useRuns((runs) => (runs.errors[serverId] === undefined ? (runs.nodes[serverId]?.state ?? "") : "error"));
  return (
    <div className={`n-far is-${node.mode} run-${state}`} style={style}>
      {title}
    </div>
  );
}
