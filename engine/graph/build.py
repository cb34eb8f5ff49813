"""From a document to a graph: links are followed, an order is found, cycles are named."""

from __future__ import annotations

from engine.graph import topology
from engine.graph.document import PromptDocument
from engine.graph.graph import Graph, Link


def build(document: PromptDocument) -> Graph:
    """The graph of `document`. Never fails: what is wrong with it concerns only the nodes that are asked for, so cycles
    and dangling links stay visible in the graph and `bind` reports those that matter.
    """
    sources = {
        node.id: [item.source for item in node.inputs.values() if isinstance(item, Link)]
        for node in document.nodes.values()
    }
    order = topology.order(sources)
    if len(order) == len(sources):
        return Graph(document.nodes, order)
    placed = set(order)
    left = {node: listed for node, listed in sources.items() if node not in placed}
    return Graph(document.nodes, order, topology.cycles(left))
