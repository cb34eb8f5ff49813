"""Building keeps every node, orders what can be ordered and names the cycles."""

from __future__ import annotations

from engine.graph.build import build
from engine.graph.document import PromptDocument
from engine.graph.graph import Constant, Graph, Link, Node


def graph_of(**sources: list[str]) -> Graph:
    nodes = {
        node: Node(node, "T", {"n": Constant(1)} | {f"in{i}": Link(source, 0) for i, source in enumerate(listed)})
        for node, listed in sources.items()
    }
    return build(PromptDocument(nodes))


def test_nodes_are_ordered_sources_first():
    graph = graph_of(c=["b", "a"], b=["a", "a"], a=[])
    assert (graph.order, graph.cycles) == (("a", "b", "c"), ())
    assert list(graph.nodes) == ["c", "b", "a"]


def test_cycles_are_named_and_nodes_on_and_behind_them_are_in_no_order():
    graph = graph_of(a=["b"], b=["a"], behind=["a"], free=[])
    assert (graph.order, graph.cycles) == (("free",), (("a", "b"),))


def test_a_link_to_nowhere_is_left_for_binding_to_judge():
    graph = graph_of(a=["gone"])
    assert (graph.order, graph.nodes["a"].inputs["in0"]) == (("a",), Link("gone", 0))
