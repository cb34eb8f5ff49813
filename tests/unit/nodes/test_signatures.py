"""Built-in nodes have the names, inputs, ranges, defaults and outputs that saved workflows rely on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.schedules import SCHEDULES
from engine.graph.spec import BooleanWidget, ChoiceWidget, FloatWidget, InputSpec, IntWidget, NodeSpec, StringWidget
from engine.plugins.packs import load_packs

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "reference" / "nodes.json").read_text("utf-8")
)
SPECS = load_packs(None).registry.specs
PARTIAL = {"sampler_name": SAMPLERS, "scheduler": SCHEDULES}  # lists that may hold more than the community's
OWN = {"plms"}


def described(item: InputSpec) -> dict[str, Any]:
    """An input in the terms of the reference."""
    facts: dict[str, Any] = {"name": item.name, "type": item.type}
    if not item.required:
        facts["optional"] = True
    match item.widget:
        case IntWidget(default, low, high, _step, after):
            facts |= {"default": default, "min": low, "max": high} | ({"control_after_generate": True} if after else {})
        case FloatWidget(default, low, high):
            facts |= {"default": default, "min": low, "max": high}
        case StringWidget(default, multiline):
            facts |= {"default": default, "multiline": multiline}
        case BooleanWidget(default):
            facts |= {"default": default}
        case ChoiceWidget(options, default, files):
            facts |= {"options": "<files>" if files and not options else list(options), "default": default}
    return facts


@pytest.mark.parametrize("name", REFERENCE)
def test_inputs_follow_the_reference_in_name_type_and_order(name: str) -> None:
    expected = [(item["name"], item["type"]) for item in REFERENCE[name]["inputs"]]
    assert [(item.name, item.type) for item in SPECS[name].inputs] == expected


@pytest.mark.parametrize("name", REFERENCE)
def test_ranges_defaults_and_choices_follow_the_reference(name: str) -> None:
    own = {item.name: described(item) for item in SPECS[name].inputs}
    for expected in REFERENCE[name]["inputs"]:
        if expected.get("forceInput"):  # a socket, to which a default means nothing
            continue
        facts = own[expected["name"]]
        for key in ("default", "min", "max", "multiline", "control_after_generate", "optional"):
            if key in expected:
                wanted = float(expected[key]) if isinstance(facts[key], float) else expected[key]
                assert facts[key] == wanted, (name, expected["name"], key)
        if "options" in expected and expected["name"] not in PARTIAL and expected["options"] != ["pixel_space"]:
            assert facts["options"] == expected["options"]


@pytest.mark.parametrize("name", REFERENCE)
def test_outputs_and_category_follow_the_reference(name: str) -> None:
    spec: NodeSpec = SPECS[name]
    assert [output.type for output in spec.outputs] == [item["type"] for item in REFERENCE[name]["outputs"]]
    assert spec.category == REFERENCE[name]["category"]
    assert spec.sink == REFERENCE[name].get("output_node", False)


@pytest.mark.parametrize("name", PARTIAL)
def test_samplers_and_schedules_are_offered_in_the_order_the_community_knows(name: str) -> None:
    known = next(item for item in REFERENCE["KSampler"]["inputs"] if item["name"] == name)["options"]
    assert [option for option in PARTIAL[name] if option not in OWN] == known


def test_every_reference_node_is_there_and_described() -> None:
    assert set(REFERENCE) <= set(SPECS)
    assert all(SPECS[name].description for name in REFERENCE)
