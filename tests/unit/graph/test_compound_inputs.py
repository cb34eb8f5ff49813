"""Inputs that stand for others: as many as are wanted, a choice that brings its own, the type of others."""

from __future__ import annotations

from typing import Any

import pytest

from engine.graph.bind import BindError, bind
from engine.graph.build import build
from engine.graph.document import PromptDocument
from engine.graph.graph import Constant, Link, Node, NodeId, TypedGraph
from engine.graph.spec import (
    GROWN,
    VARIANT,
    ChoiceWidget,
    Growth,
    InputSpec,
    IntWidget,
    NodeSpec,
    OutputSpec,
    Variant,
    from_json,
    to_json,
)

WIDTH = InputSpec("width", "INT", widget=IntWidget(512, 0, 1024))
SPECS = {
    spec.id: spec
    for spec in (
        NodeSpec("Image", outputs=(OutputSpec("IMAGE", "IMAGE"),)),
        NodeSpec("Mask", outputs=(OutputSpec("MASK", "MASK"),)),
        NodeSpec(
            "Batch",
            inputs=(InputSpec("images", GROWN, growth=Growth("image", "IMAGE", 2, 4)),),
            outputs=(OutputSpec("IMAGE", "IMAGE"),),
        ),
        NodeSpec(
            "Resize",
            inputs=(
                InputSpec("input", "IMAGE,MASK", match="T"),
                InputSpec(
                    "how",
                    VARIANT,
                    widget=ChoiceWidget(("none", "width")),
                    variants=(Variant("none"), Variant("width", (WIDTH, InputSpec("like", "IMAGE", required=False)))),
                ),
            ),
            outputs=(OutputSpec("resized", "IMAGE,MASK", match="T"),),
        ),
        NodeSpec("Save", inputs=(InputSpec("images", "IMAGE"),), sink=True),
    )
}


def bound(**nodes: tuple[str, dict[str, Any]]) -> TypedGraph:
    """The graph of nodes by name; a pair `(node, output)` among their inputs is a link."""
    made = {
        NodeId(name): Node(
            NodeId(name),
            kind,
            {
                key: Link(NodeId(value[0]), value[1]) if isinstance(value, tuple) else Constant(value)
                for key, value in inputs.items()
            },
        )
        for name, (kind, inputs) in nodes.items()
    }
    return bind(build(PromptDocument(made)), SPECS, files=lambda _kind: []).require()


def test_as_many_inputs_as_are_wanted_are_linked() -> None:
    graph = bound(
        a=("Image", {}),
        batch=("Batch", {f"images.image{number}": ("a", 0) for number in range(3)}),
        save=("Save", {"images": ("batch", 0)}),
    )
    assert sorted(graph.nodes[NodeId("batch")].links) == ["images.image0", "images.image1", "images.image2"]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0,), "Batch batch, input images.image1: expected a link to a IMAGE output, got nothing"), ((1, 2, 3), "image0")],
)
def test_too_few_inputs_are_told_by_name(numbers: tuple[int, ...], message: str) -> None:
    with pytest.raises(BindError, match=message):
        bound(
            a=("Image", {}),
            batch=("Batch", {f"images.image{number}": ("a", 0) for number in numbers}),
            save=("Save", {"images": ("batch", 0)}),
        )


def test_the_chosen_variant_says_which_inputs_there_are() -> None:
    graph = bound(
        a=("Image", {}),
        r=("Resize", {"input": ("a", 0), "how": "width", "how.width": "64", "how.like": ("a", 0)}),
        n=("Resize", {"input": ("r", 0), "how": "none", "how.width": "of no use"}),
        save=("Save", {"images": ("n", 0)}),
    )
    assert graph.nodes[NodeId("r")].constants == {"how": "width", "how.width": 64}
    assert sorted(graph.nodes[NodeId("r")].links) == ["how.like", "input"]
    assert graph.nodes[NodeId("n")].constants == {"how": "none"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"how": "width"}, "input how.width: expected a value or link of type INT, got nothing"),
        ({"how": "width", "how.width": 2000}, "input how.width: expected 0 to 1024, got 2000"),
        ({"how": "sideways"}, "input how: expected one of none, width, got 'sideways'"),
        ({"how": ("a", 0)}, "input how: expected one of its choices, got a link"),
    ],
)
def test_a_variant_that_does_not_fit_is_told_by_name(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(BindError, match=message):
        bound(a=("Image", {}), r=("Resize", {"input": ("a", 0), **inputs}), save=("Save", {"images": ("r", 0)}))


def test_an_output_has_the_type_of_the_input_that_it_matches() -> None:
    with pytest.raises(BindError, match="input images: expected IMAGE, got MASK from output 0 of Resize again"):
        bound(
            a=("Mask", {}),
            r=("Resize", {"input": ("a", 0), "how": "none"}),
            again=("Resize", {"input": ("r", 0), "how": "none"}),
            save=("Save", {"images": ("again", 0)}),
        )


@pytest.mark.parametrize("name", ["Batch", "Resize"])
def test_such_specs_survive_the_cache_on_disk(name: str) -> None:
    assert from_json(to_json(SPECS[name])) == SPECS[name]
