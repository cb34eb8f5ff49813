"""Orders, ancestors and cycles, against simple definitions on random graphs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.graph import topology

graphs = st.integers(1, 12).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size).map(
        lambda rows: dict(enumerate(rows))
    )
)


@given(graphs)
def test_each_node_of_the_order_stands_behind_its_sources(sources):
    order = topology.order(sources)
    assert len(set(order)) == len(order)
    assert all(order.index(source) < order.index(node) for node in order for source in sources[node])


@given(graphs)
def test_the_order_is_complete_exactly_if_there_is_no_cycle(sources):
    assert (len(topology.order(sources)) < len(sources)) == bool(topology.cycles(sources))


@given(graphs)
def test_a_named_cycle_follows_existing_links_and_meets_no_node_twice(sources):
    for cycle in topology.cycles(sources):
        assert len(set(cycle)) == len(cycle)
        assert all(before in sources[after] for before, after in zip(cycle, cycle[1:] + cycle[:1], strict=True))


@given(graphs)
def test_ancestors_are_closed_and_hold_nothing_else(sources):
    found = topology.ancestors([0], sources.__getitem__)
    assert 0 in found
    assert all(source in found for node in found for source in sources[node])
    assert all(node == 0 or any(node in sources[other] for other in found) for node in found)


def test_independent_nodes_keep_the_order_they_were_given_in():
    assert topology.order({"b": [], "a": [], "c": ["b"]}) == ("b", "a", "c")


def test_every_knot_gets_a_cycle_and_a_node_that_feeds_itself_is_one():
    sources = {"x": ["y"], "y": ["x"], "self": ["self"], "free": ["x"]}
    assert topology.cycles(sources) == (("x", "y"), ("self",))


def test_a_cycle_of_ten_thousand_nodes_is_named_whole():
    sources = {node: [(node - 1) % 10_000] for node in range(10_000)}
    assert topology.order(sources) == ()
    assert topology.cycles(sources) == (tuple(range(10_000)),)


def test_sources_that_are_not_in_the_graph_hold_nothing_up():
    assert topology.order({"a": ["gone"]}) == ("a",)
