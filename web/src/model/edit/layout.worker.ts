// Lays a graph out in layers, beside the page's own thread.

import { graphlib, layout } from "@dagrejs/dagre";
import type { LayoutTask, Places } from "./layout";

export function layOut(task: LayoutTask): Places {
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 40, ranksep: 80, ranker: task.nodes.length > 300 ? "longest-path" : "network-simplex" });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width, height } of task.nodes) graph.setNode(id, { width, height });
  for (const [from, to] of task.edges) graph.setEdge(from, to);
  layout(graph);
  return Object.fromEntries(
    task.nodes.map(({ id }) => {
      const { x, y } = graph.node(id) as { readonly x: number; readonly y: number };
      return [id, { x, y }];
    }),
  );
}

if ("WorkerGlobalScope" in globalThis) {
  self.onmessage = (event: MessageEvent<LayoutTask>) => self.postMessage(layOut(event.data));
}
