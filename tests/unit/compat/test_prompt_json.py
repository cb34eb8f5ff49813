"""The prompt JSON is read with every fault of shape placed, and written so that it reads back the same."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.compat.prompt_json import read, write
from engine.foundation.json import dumps, parse
from engine.graph.bind import bind
from engine.graph.build import build
from engine.graph.document import DocumentError, PromptDocument
from engine.graph.graph import Constant, Link, Node
from engine.graph.spec import InputSpec, IntWidget, NodeSpec

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("__value__"), inner, max_size=3),
    max_leaves=6,
)
inputs = st.dictionaries(st.text(), st.builds(Constant, json_values) | st.builds(Link, st.text(), st.integers()))
documents = st.dictionaries(st.text(), st.tuples(st.text(), inputs, st.text())).map(
    lambda nodes: PromptDocument({key: Node(key, *rest) for key, rest in nodes.items()})
)


@given(documents)
def test_a_document_written_and_read_is_the_same(document):
    assert read(parse(dumps(write(document)))) == document


@given(json_values)
def test_any_json_is_a_document_or_a_document_error(data):
    with suppress(DocumentError):
        assert isinstance(read(data), PromptDocument)


def test_links_literals_and_titles_are_told_apart():
    data = {
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["4", 1],
                "old": [4, 0],
                "list": {"__value__": ["4", 1]},
                "seed": 7,
                "three": [1, 2, 3],
            },
            "_meta": {"title": "My sampler"},
            "is_changed": [None],
        }
    }
    (node,) = read(data).nodes.values()
    assert (node.id, node.type, node.title) == ("5", "KSampler", "My sampler")
    assert node.inputs == {
        "model": Link("4", 1),
        "old": Link("4", 0),
        "list": Constant(["4", 1]),
        "seed": Constant(7),
        "three": Constant([1, 2, 3]),
    }


@pytest.mark.parametrize("meta", [None, 3, [], {}, {"title": 5}])
def test_a_title_of_any_other_shape_is_ignored(meta):
    assert read({"1": {"class_type": "A", "inputs": {}, "_meta": meta}}).nodes["1"].title == ""


def node_with(**inputs: object) -> dict[str, object]:
    return {"5": {"class_type": "A", "inputs": inputs}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "$: expected an object with a node for each id, got null"),
        ([], "$: expected an object with a node for each id, got a list of 0"),
        ({"nodes": [], "links": []}, "$: this is a workflow of the editor, not a prompt. Convert it first."),
        ({"5": 3}, '$["5"]: expected a node, an object with class_type and inputs, got 3'),
        ({"a": {}}, "$.a.class_type: expected the name of a node type, got nothing"),
        ({"5": {"class_type": 1}}, '$["5"].class_type: expected the name of a node type, got 1'),
        ({"5": {"class_type": "A"}}, '$["5"].inputs: expected an object with a value for each input, got nothing'),
        (
            {"5": {"class_type": "A", "inputs": []}},
            '$["5"].inputs: expected an object with a value for each input, got a list of 0',
        ),
    ],
)
def test_a_fault_of_shape_is_placed_by_its_path(data, message):
    with pytest.raises(DocumentError) as caught:
        read(data)
    assert str(caught.value) == message


@pytest.mark.parametrize("link", [["4", "0"], ["4", 0.5], [True, 0], ["4", False], [None, 0], [["4"], 0]])
def test_a_list_of_two_that_is_no_link_is_refused_with_its_path(link):
    with pytest.raises(DocumentError) as caught:
        read(node_with(model=link))
    assert caught.value.path == '$["5"].inputs.model'
    assert str(caught.value).endswith('A literal list of two is written {"__value__": [...]}.')


def test_a_bound_graph_is_written_with_its_converted_literals_in_the_order_of_the_spec():
    widgets = (InputSpec("n", "INT", widget=IntWidget()), InputSpec("x", "*", required=False))
    specs = {"A": NodeSpec("A", inputs=widgets, sink=True)}
    graph = build(read(node_with(x={"__value__": [1, 2]}, n="4")))
    typed = bind(graph, specs, files=lambda _: []).require()
    assert dumps(write(typed)) == '{"5":{"class_type":"A","inputs":{"n":4,"x":{"__value__":[1,2]}}}}'
