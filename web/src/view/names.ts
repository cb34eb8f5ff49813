// Ids that React Flow sees: nodes, frames, reroutes and the ends of a subgraph are all its nodes.

import { frameId, INPUTS, nodeId, OUTPUTS, rerouteId, type FrameId, type NodeId, type RerouteId } from "../model/ids";

export type Named =
  | { readonly kind: "node"; readonly id: NodeId }
  | { readonly kind: "frame"; readonly id: FrameId }
  | { readonly kind: "reroute"; readonly id: RerouteId }
  | { readonly kind: "end"; readonly id: NodeId };

export const flowId = {
  node: (id: NodeId): string => (id === INPUTS || id === OUTPUTS ? `e:${id}` : `n:${id}`),
  frame: (id: FrameId): string => `f:${id}`,
  reroute: (id: RerouteId): string => `r:${id}`,
};

export function named(id: string): Named {
  const rest = id.slice(2);
  switch (id[0]) {
    case "f":
      return { kind: "frame", id: frameId(rest) };
    case "r":
      return { kind: "reroute", id: rerouteId(rest) };
    case "e":
      return { kind: "end", id: nodeId(rest) };
    default:
      return { kind: "node", id: nodeId(rest) };
  }
}
