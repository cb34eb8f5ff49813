"""Saved values find their widgets, with and without the values that only the editor uses."""

from __future__ import annotations

from typing import Any

import pytest

from engine.compat.workflow.document import InputSlot, Level, WorkflowNode
from engine.compat.workflow.widgets import promoted_values, widget_values
from engine.graph.spec import BooleanWidget, ChoiceWidget, InputSpec, IntWidget, NodeSpec, StringWidget, Variant

SEED, PLAIN, SWITCH, TEXT = IntWidget(control_after_generate=True), IntWidget(3), BooleanWidget(True), StringWidget("t")
UPLOAD, CHOICE, FILE = ChoiceWidget(files="input", upload="video"), ChoiceWidget(("x", "y")), ChoiceWidget(files="vae")


def spec(**widgets: Any) -> NodeSpec:
    return NodeSpec("N", inputs=tuple(InputSpec(name, "ANY", widget=widget) for name, widget in widgets.items()))


@pytest.mark.parametrize(
    ("node_type", "values", "expected"),
    [
        (spec(a=SEED, b=PLAIN), [1, "fixed", 2], {"a": 1, "b": 2}),
        (spec(a=SEED, b=PLAIN), [1, 2], {"a": 1, "b": 2}),
        (spec(a=SEED, b=PLAIN), [1, True, 2], {"a": 1, "b": 2}),
        (spec(a=SEED, b=SWITCH), [1, False], {"a": 1, "b": False}),
        (spec(a=SEED, b=SWITCH), [1, "increment", False], {"a": 1, "b": False}),
        (spec(seed=PLAIN, b=PLAIN), [1, "randomize", 2], {"seed": 1, "b": 2}),
        (spec(noise_seed=PLAIN, b=PLAIN), [1, "decrement", 2], {"noise_seed": 1, "b": 2}),
        (spec(a=PLAIN, b=TEXT), [1, "fixed"], {"a": 1, "b": "fixed"}),
        (spec(a=UPLOAD, b=TEXT), ["f", "video", "t"], {"a": "f", "b": "t"}),
        (spec(a=UPLOAD, b=TEXT), ["f", "t"], {"a": "f", "b": "t"}),
        (spec(a=CHOICE, b=TEXT), ["x", "image"], {"a": "x", "b": "image"}),
        (spec(a=SWITCH, b=CHOICE, c=TEXT, d=FILE), [], {"a": True, "b": "x", "c": "t"}),
        (spec(a=PLAIN, b=PLAIN), [None, 5, 6, 7], {"a": 3, "b": 5}),
        (spec(a=PLAIN), [{"deep": [1]}], {"a": {"deep": [1]}}),
    ],
)
def test_a_value_goes_to_the_widget_at_its_place(node_type, values, expected):
    assert widget_values(WorkflowNode("1", "N", values=values), node_type) == expected


def test_sockets_hold_no_place_and_required_inputs_come_first():
    inputs = (
        InputSpec("late", "INT", False, PLAIN),
        InputSpec("model", "MODEL"),
        InputSpec("forced", "INT"),
        InputSpec("early", "INT", True, PLAIN),
    )
    node = WorkflowNode("1", "N", values=[1, 2])
    assert widget_values(node, NodeSpec("N", inputs=inputs)) == {"early": 1, "late": 2}


def test_names_win_over_places_and_only_dynamic_types_keep_other_names():
    node = WorkflowNode("1", "N", values=[1, 2], named={"b": 5, "b.width": 6})
    fixed = spec(a=PLAIN, b=PLAIN)
    assert widget_values(node, fixed) == {"a": 1, "b": 5}
    dynamic = NodeSpec("N", inputs=fixed.inputs, dynamic_inputs=True)
    assert widget_values(node, dynamic) == {"a": 1, "b": 5, "b.width": 6}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["size", 64, 32, "after"], {"how": "size", "how.width": 64, "how.height": 32, "b": "after"}),
        (["factor", 2, "after"], {"how": "factor", "how.factor": 2, "b": "after"}),
        (["none", "after"], {"how": "none", "b": "after"}),
        ([], {"how": "factor", "how.factor": 3, "b": "t"}),
    ],
)
def test_the_widgets_that_a_choice_brings_stand_right_behind_it(values, expected):
    assert widget_values(WorkflowNode("1", "N", values=values), choosing()) == expected


def test_values_that_another_choice_would_bring_are_left_out():
    node = WorkflowNode("1", "N", values=["factor", 2, "after"], named={"how.width": 64, "how.factor": 5})
    assert widget_values(node, choosing()) == {"how": "factor", "how.factor": 5, "b": "after"}


def choosing() -> NodeSpec:
    part = {name: InputSpec(name, "INT", widget=PLAIN) for name in ("factor", "width", "height")}
    sized = Variant("size", (part["width"], InputSpec("like", "IMAGE"), part["height"]))
    how = InputSpec(
        "how",
        "COMFY_DYNAMICCOMBO_V3",
        widget=ChoiceWidget(("factor", "size", "none")),
        variants=(Variant("factor", (part["factor"],)), sized, Variant("none")),
    )
    return NodeSpec("N", inputs=(InputSpec("image", "IMAGE"), how, InputSpec("b", "STRING", widget=TEXT)))


def promoted(values: list[Any], proxies: Any = None, **more: Any) -> dict[int, Any]:
    """Of an instance with the inputs a (widget), b (socket), c (widget), d (a widget says only the instance)."""
    slots = [InputSlot("d", widget=True)]
    node = WorkflowNode("1", "s", values=values, inputs=slots, properties={"proxyWidgets": proxies}, **more)
    return promoted_values(node, Level({}, {}, inputs=("a", "b", "c", "d")), frozenset({0, 2}))


@pytest.mark.parametrize(
    ("values", "proxies", "expected"),
    [
        ([1, 2, 3], None, {0: 1, 2: 2, 3: 3}),
        ([1, None], None, {0: 1}),
        ([1, 2, 3, 4], [], {0: 1, 2: 2, 3: 3}),
        ([1, 2], [["5", "x"], ["-1", "c"]], {2: 2}),
        ([1, 2], [[-1, "c"], ["-1", "gone"]], {2: 1}),
        ([1, 2], '[["-1", "c"], ["-1", "a"]]', {0: 2, 2: 1}),
        ([1, 2], [["-1", "a"], ["-1", "c"], ["5", "seed"]], {0: 1, 2: 2}),
        ([1, 2], "no list", {0: 1, 2: 2}),
        ([1, 2], [[], "x", [[], "a"], ["-1", 3]], {0: 1, 2: 2}),
    ],
)
def test_an_instance_holds_the_values_of_its_own_widgets(values, proxies, expected):
    assert promoted(values, proxies) == expected


def test_an_instance_may_hold_its_values_by_name():
    assert promoted([1, 2], named={"c": 9, "gone": 4}) == {0: 1, 2: 9}
