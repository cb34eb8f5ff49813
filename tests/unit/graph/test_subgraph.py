"""Subgraphs made at run time have links that hold and ids that repeat."""

from __future__ import annotations

import pytest

from engine.graph.graph import Constant, Link
from engine.graph.subgraph import MAX_ID_LENGTH, ExpansionError, GraphBuilder, child_id


def test_nodes_are_linked_under_ids_made_from_the_parent():
    build = GraphBuilder("12")
    load = build.node("Load", name="a.png")
    blur = build.node("Blur", "soft", image=load.out(1), radius=3)
    expansion = build.expansion(blur.out(0), "ready")
    assert list(expansion.nodes) == ["12.0.0", "12.0.soft"]
    assert expansion.nodes["12.0.soft"].inputs == {"image": Link("12.0.0", 1), "radius": Constant(3)}
    assert expansion.outputs == (Link("12.0.soft", 0), "ready")


def test_inputs_with_names_that_are_no_python_words_can_be_set():
    build = GraphBuilder("1")
    build.node("Sum").set("values.0", 4)
    assert build.expansion().nodes["1.0.0"].inputs == {"values.0": Constant(4)}


def test_the_elements_of_a_list_expand_side_by_side():
    ids = {node for call in range(3) for node in _one(GraphBuilder("7", call)).nodes}
    assert ids == {"7.0.0", "7.1.0", "7.2.0"}


def test_local_names_with_dots_do_not_meet_the_ids_of_nested_nodes():
    assert child_id("1", 0, "2.0.3") != child_id(child_id("1", 0, "2"), 0, "3")


def test_ids_of_a_loop_of_many_rounds_stay_short_distinct_and_repeatable():
    def rounds():
        node = "12:7"
        for _ in range(2000):
            node = child_id(node, 0, node)
            yield node

    ids = list(rounds())
    assert len(set(ids)) == 2000
    assert max(map(len, ids)) <= MAX_ID_LENGTH
    assert all(node.startswith("12:7.") for node in ids)
    assert list(rounds()) == ids


def test_a_name_cannot_be_used_twice():
    build = GraphBuilder("1")
    build.node("A", "x")
    with pytest.raises(ExpansionError, match="two nodes of one subgraph are called 'x'"):
        build.node("B", "x")


def test_a_node_where_one_of_its_outputs_is_meant_is_refused():
    build = GraphBuilder("1")
    node = build.node("A")
    with pytest.raises(ExpansionError, match=r"Choose an output with .out\(0\)"):
        build.expansion(node)


def _one(build):
    build.node("A")
    return build.expansion()
