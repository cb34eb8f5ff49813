"""Workflows are read whatever their age; a fault of shape is placed by its JSON path."""

from __future__ import annotations

from typing import Any

import pytest

from engine.compat.workflow import read_workflow
from engine.compat.workflow.document import InputSlot, OutputSlot, WorkflowLink
from engine.compat.workflow.read import MAX_NODES
from engine.graph.document import DocumentError


def one(**more: Any) -> dict[str, Any]:
    return {"nodes": [{"id": 1, "type": "A", **more}]}


def subgraphs(*definitions: Any) -> dict[str, Any]:
    return {"nodes": [], "definitions": {"subgraphs": list(definitions)}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "$: expected a workflow, an object with a list of nodes, got null"),
        ({"nodes": {}}, "$: expected a workflow, an object with a list of nodes, got an object"),
        ({"nodes": [3]}, "$.nodes[0]: expected a node, got 3"),
        ({"nodes": [{"id": 1}]}, "$.nodes[0].type: expected the name of a node type, got null"),
        ({"nodes": [{"type": "A"}]}, "$.nodes[0].id: expected an id, a number or text, got null"),
        (one(id=True), "$.nodes[0].id: expected an id, a number or text, got true"),
        (one(id=""), "$.nodes[0].id: expected an id, a number or text, got ''"),
        (one(mode="loud"), "$.nodes[0].mode: expected a whole number, got 'loud'"),
        (one(inputs=5), "$.nodes[0].inputs: expected a list, got 5"),
        (one(inputs=[None]), "$.nodes[0].inputs[0]: expected an input, got null"),
        (one(inputs=[{"link": []}]), "$.nodes[0].inputs[0].link: expected an id, a number or text, got a list of 0"),
        (one(outputs=["x"]), "$.nodes[0].outputs[0]: expected an output, got 'x'"),
        ({"nodes": one()["nodes"] * 2}, "$.nodes[1].id: two nodes have the id '1'"),
        ({"nodes": [], "links": {}}, "$.links: expected a list, got an object"),
        ({"nodes": [], "links": [7]}, "$.links[0]: expected a link of 5 fields or more, got 7"),
        ({"nodes": [], "links": [[1, 2, 0, 3]]}, "$.links[0]: expected a link of 5 fields or more, got a list of 4"),
        ({"nodes": [], "links": [[1, 2, 0.5, 3, 0]]}, "$.links[0][2]: expected a whole number, got 0.5"),
        ({"nodes": [], "links": [{"id": 1}]}, "$.links[0].origin_id: expected an id, a number or text, got null"),
        ({"nodes": [], "definitions": 1}, "$.definitions: expected an object, got 1"),
        (subgraphs(1), "$.definitions.subgraphs[0]: expected a subgraph, got 1"),
        (
            subgraphs({"nodes": []}),
            "$.definitions.subgraphs[0].id: expected an id, a number or text, got null",
        ),
        (subgraphs({"id": "a"}, {"id": "a"}), "$.definitions.subgraphs[1].id: two subgraphs have the id 'a'"),
        (subgraphs({"id": "a", "inputs": [1]}), "$.definitions.subgraphs[0].inputs[0]: expected a socket, got 1"),
        (
            subgraphs({"id": "a", "inputNode": {"id": None}}),
            "$.definitions.subgraphs[0].inputNode.id: expected an id, a number or text, got null",
        ),
    ],
)
def test_a_fault_of_shape_is_placed_by_its_path(data, message):
    with pytest.raises(DocumentError) as caught:
        read_workflow(data)
    assert str(caught.value) == message


def test_a_subgraph_that_contains_itself_is_named():
    a = {"id": "a", "name": "Big", "nodes": [{"id": 1, "type": "b"}]}
    b = {"id": "b", "name": "Small", "nodes": [{"id": 1, "type": "a"}]}
    with pytest.raises(
        DocumentError, match=r"a subgraph contains itself: '(Big|Small)' in '(Big|Small)' in '(Big|Small)'$"
    ):
        read_workflow(subgraphs(a, b))


def test_subgraphs_stand_after_those_they_use():
    a = {"id": "a", "nodes": [{"id": 1, "type": "b"}]}
    b = {"id": "b", "nodes": [{"id": 1, "type": "c"}]}
    assert list(read_workflow(subgraphs(a, b, {"id": "c"})).subgraphs) == ["c", "b", "a"]


def test_more_nodes_than_the_limit_are_refused():
    with pytest.raises(DocumentError, match="more than the limit"):
        read_workflow({"nodes": [None] * (MAX_NODES + 1)})


@pytest.mark.parametrize(
    "link",
    [
        [1, 2, 3, 4, 5, "MODEL"],
        [1, "2", "3", "4", "5"],
        {"id": 1, "origin_id": 2, "origin_slot": 3, "target_id": 4, "target_slot": 5, "type": "X", "parentId": 9},
    ],
)
def test_links_are_read_as_lists_and_as_objects(link):
    assert read_workflow({"nodes": [], "links": [link]}).root.links == {"1": WorkflowLink("1", "2", 3, "4", 5)}


def test_slots_are_read_with_types_of_every_age():
    inputs = [{"name": "a", "type": ["x", "y"], "link": 3, "widget": {"name": "a"}}, {"name": "b", "type": 0}, {}]
    (node,) = read_workflow(
        one(inputs=inputs, outputs=[{"name": "o", "type": -1}, {"name": "p", "type": "INT"}])
    ).root.nodes.values()
    assert node.inputs == [InputSlot("a", "COMBO", "3", True), InputSlot("b"), InputSlot("")]
    assert node.outputs == [OutputSlot("o", "*"), OutputSlot("p", "INT")]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0, "normal"), (1, "normal"), (2, "muted"), (3, "normal"), (4, "bypassed"), ("4", "bypassed")],
)
def test_modes_are_told_apart(mode, expected):
    assert read_workflow(one(mode=mode)).root.nodes["1"].mode == expected


def test_values_come_as_a_list_or_by_name_and_names_win():
    assert read_workflow(one(widgets_values=[1, 2])).root.nodes["1"].values == [1, 2]
    by_name = read_workflow(one(widgets_values={"a": 1, "b": 2}, widgets_values_named={"b": 3})).root.nodes["1"]
    assert (by_name.values, by_name.named) == ((), {"a": 1, "b": 3})


def test_keys_it_does_not_know_do_no_harm():
    data = one(pos="?", size=None, flags=3, color={}, properties=[]) | {"groups": 1, "extra": None, "floatingLinks": 0}
    assert read_workflow(data).root.nodes["1"].properties == {}
