"""Which input of a bypassed node stands in for its output, and which sources count as gone."""

from __future__ import annotations

import pytest

from engine.compat.workflow.document import InputSlot, Level, OutputSlot, WorkflowLink, WorkflowNode
from engine.compat.workflow.flatten import Scope
from engine.compat.workflow.links import NoSource, Resolver
from engine.graph.graph import Constant, Link


def resolve(*nodes: WorkflowNode, links: list[tuple[str, str, int]], wanted: str = "IMAGE", value: object = None):
    """What feeds an input linked by link `x`; `links` are (id, source, output)."""
    rows = {key: WorkflowLink(key, source, output, "t", 0) for key, source, output in links}
    scope = Scope(Level({node.id: node for node in nodes}, rows))
    return Resolver(lambda _scope, _node: value).source(scope, InputSlot("in", wanted, "x"))


def bypassed(inputs: str, outputs: str) -> WorkflowNode:
    """A bypassed node `b`; its input number i is linked to output i of node `s`."""
    slots = [InputSlot(f"i{i}", kind, f"l{i}") for i, kind in enumerate(inputs.split())]
    return WorkflowNode(
        "b", "Any", "bypassed", inputs=slots, outputs=[OutputSlot("o", kind) for kind in outputs.split()]
    )


@pytest.mark.parametrize(
    ("inputs", "outputs", "output", "wanted", "chosen"),
    [
        ("MODEL CLIP", "MODEL CLIP", 1, "CLIP", 1),
        ("MASK IMAGE IMAGE", "IMAGE", 0, "IMAGE", 1),
        ("MASK image", "IMAGE", 0, "IMAGE", 1),
        ("* IMAGE", "IMAGE", 0, "IMAGE", 0),
        ("MASK * IMAGE", "IMAGE", 0, "IMAGE", 2),
        ("MASK *", "IMAGE", 0, "IMAGE", 1),
        ("MASK IMAGE,MASK", "IMAGE", 0, "IMAGE", 1),
        ("MASK IMAGE", "MASK IMAGE", 1, "*", 1),
        ("MASK", "MASK IMAGE", 1, "*", 0),
        ("MASK LATENT", "IMAGE", 0, "IMAGE", None),
        ("", "IMAGE", 0, "*", None),
        ("IMAGE", "", 0, "IMAGE", 0),
    ],
)
def test_a_bypassed_node_is_replaced_by_the_input_that_fits(inputs, outputs, output, wanted, chosen):
    links = [("x", "b", output), *((f"l{i}", "s", i) for i in range(3))]
    found = resolve(bypassed(inputs, outputs), WorkflowNode("s", "Source"), links=links, wanted=wanted)
    assert found == (NoSource.UNLINKED if chosen is None else Link("s", chosen))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (WorkflowNode("s", "A"), Link("s", 0)),
        (WorkflowNode("s", "A", "muted"), NoSource.GONE),
        (WorkflowNode("s", "Note"), NoSource.GONE),
        (WorkflowNode("other", "A"), NoSource.GONE),
        (WorkflowNode("s", "Reroute"), NoSource.UNLINKED),
        (WorkflowNode("s", "Reroute", "muted", inputs=[InputSlot("", "*", "x")]), NoSource.GONE),
        (WorkflowNode("s", "Reroute", inputs=[InputSlot("", "*", "x")]), NoSource.UNLINKED),
        (WorkflowNode("s", "Reroute", inputs=[InputSlot("", "*", "gone")]), NoSource.UNLINKED),
        (WorkflowNode("s", "PrimitiveNode"), Constant(5)),
        (WorkflowNode("s", "PrimitiveNode", "muted"), Constant(5)),
    ],
)
def test_a_source_is_a_node_that_runs_a_value_or_nothing(source, expected):
    assert resolve(source, links=[("x", "s", 0)], value=5) == expected


def test_a_primitive_without_a_value_brings_nothing():
    assert resolve(WorkflowNode("s", "PrimitiveNode"), links=[("x", "s", 0)]) == NoSource.UNLINKED


def test_a_link_that_is_not_in_the_file_brings_nothing():
    assert resolve(links=[]) == NoSource.UNLINKED
