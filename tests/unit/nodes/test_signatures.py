"""Built-in nodes have the names, inputs, ranges, defaults and outputs that saved workflows rely on."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from engine.compat.object_info import describe
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.schedules import SCHEDULES
from engine.graph.spec import (
    MATCHED,
    BooleanWidget,
    ChoiceWidget,
    FloatWidget,
    InputSpec,
    IntWidget,
    NodeSpec,
    StringWidget,
)
from engine.plugins.packs import load_packs

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "reference" / "nodes.json").read_text("utf-8")
)
SPECS = load_packs(None).registry.specs
THERE = sorted(REFERENCE.keys() & SPECS.keys())
PARTIAL = {"sampler_name": SAMPLERS, "scheduler": SCHEDULES}  # lists that may hold more than the community's
OWN = {"plms"}
COMPLETE = (
    "api",
    "conditioning",
    "image",
    "latent",
    "logic",
    "mask",
    "model_patches",
    "sampling",
    "transform",
    "utils",
)
"""Groups of which every node is there."""


def described(item: InputSpec) -> dict[str, Any]:
    """An input in the terms of the reference."""
    facts: dict[str, Any] = {"name": item.name, "type": type_of(item)}
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
        case ChoiceWidget(options, default):
            facts |= {"options": list(options) or "<files>", "default": default}
    return facts


def type_of(item: Any) -> str:
    return MATCHED if item.match else item.type


@pytest.mark.parametrize("name", THERE)
def test_inputs_follow_the_reference_in_name_type_and_order(name: str) -> None:
    expected = [(item["name"], item["type"]) for item in REFERENCE[name]["inputs"]]
    assert [(item.name, type_of(item)) for item in SPECS[name].inputs] == expected


@pytest.mark.parametrize("name", THERE)
def test_ranges_defaults_and_choices_follow_the_reference(name: str) -> None:
    own = {item.name: described(item) for item in SPECS[name].inputs if not item.variants}
    for expected in REFERENCE[name]["inputs"]:
        if expected["name"] not in own or expected.get(
            "forceInput"
        ):  # tested apart; a socket, where none has a meaning
            continue
        facts = own[expected["name"]]
        for key in ("default", "min", "max", "multiline", "control_after_generate", "optional"):
            if key in expected:
                wanted = float(expected[key]) if isinstance(facts[key], float) else expected[key]
                assert facts[key] == wanted, (name, expected["name"], key)
        if "options" in expected and expected["name"] not in PARTIAL and expected["options"] != ["pixel_space"]:
            assert facts["options"] == expected["options"]
        assert expected.get("optional", False) == facts.get("optional", False), (name, expected["name"])


@pytest.mark.parametrize("name", THERE)
def test_outputs_and_category_follow_the_reference(name: str) -> None:
    spec: NodeSpec = SPECS[name]
    expected = REFERENCE[name]
    assert [type_of(output) for output in spec.outputs] == [item["type"] for item in expected["outputs"]]
    assert [output.is_list for output in spec.outputs] == [item.get("list", False) for item in expected["outputs"]]
    assert spec.category == expected["category"]
    assert spec.sink == expected.get("output_node", False)
    assert spec.description


def test_a_choice_that_brings_inputs_brings_those_of_the_reference() -> None:
    reference = {item["name"]: item for item in REFERENCE["ResizeImageMaskNode"]["inputs"]}
    own = describe(SPECS["ResizeImageMaskNode"], lambda _kind: [])["input"]["required"]["resize_type"]
    assert own[0] == "COMFY_DYNAMICCOMBO_V3"
    for expected, choice in zip(reference["resize_type"]["options"], own[1]["options"], strict=True):
        assert choice["key"] == expected["key"]
        for name, (kind, options) in expected["inputs"]["required"].items():
            got = choice["inputs"]["required"][name]
            if kind == "COMBO":
                assert (got[0], got[1]["default"]) == (options["options"], options["default"])
            else:
                wanted = {key: value for key, value in options.items() if (key, value) != ("step", 1)}  # the default
                assert got == ([kind, wanted] if wanted else [kind])


@pytest.mark.parametrize("name", PARTIAL)
def test_samplers_and_schedules_are_offered_in_the_order_the_community_knows(name: str) -> None:
    known = next(item for item in REFERENCE["KSampler"]["inputs"] if item["name"] == name)["options"]
    assert [option for option in PARTIAL[name] if option not in OWN] == known


def test_every_node_of_the_complete_groups_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, facts in REFERENCE.items():
        groups[facts["category"].partition("/")[0]].append(name)
    lines = []
    for group, names in sorted(groups.items()):
        missing = sorted(set(names) - SPECS.keys())
        lines.append(f"{group:14} {len(names) - len(missing):3} of {len(names):3} " + " ".join(missing))
        assert group not in COMPLETE or not missing, f"missing in {group}: {missing}"
    with capsys.disabled():
        print(f"\nnodes: {len(THERE)} of {len(REFERENCE)}", *lines, sep="\n  ")
