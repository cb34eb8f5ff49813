"""A small catalogue of node types and a way to bind a prompt against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from engine.compat.prompt_json import read
from engine.graph.bind import Binding, bind
from engine.graph.build import build
from engine.graph.spec import (
    BooleanWidget,
    ChoiceWidget,
    FloatWidget,
    InputSpec,
    IntWidget,
    NodeSpec,
    OutputSpec,
    StringWidget,
)


def widget(name: str, kind: str, of: Any, required: bool = True) -> InputSpec:
    return InputSpec(name, kind, required, widget=of)


SPECS = {
    spec.id: spec
    for spec in (
        NodeSpec(
            "Loader",
            inputs=(widget("ckpt_name", "COMBO", ChoiceWidget(files="checkpoints")),),
            outputs=(OutputSpec("MODEL", "MODEL"), OutputSpec("CLIP", "CLIP"), OutputSpec("VAE", "VAE")),
        ),
        NodeSpec(
            "Empty",
            inputs=(widget("size", "INT", IntWidget(512, 16, 16384), required=False),),
            outputs=(OutputSpec("LATENT", "LATENT"),),
        ),
        NodeSpec(
            "KSampler",
            inputs=(
                InputSpec("model", "MODEL"),
                widget("steps", "INT", IntWidget(20, 1, 10000)),
                widget("cfg", "FLOAT", FloatWidget(8.0, 0.0, 100.0)),
                widget("sampler_name", "COMBO", ChoiceWidget(("euler", "heun", "dpm_2"))),
                InputSpec("latent_image", "LATENT"),
                InputSpec("mask", "MASK", required=False),
                widget("tile", "BOOLEAN", BooleanWidget(), required=False),
            ),
            outputs=(OutputSpec("LATENT", "LATENT"),),
        ),
        NodeSpec(
            "Save",
            inputs=(InputSpec("samples", "LATENT,IMAGE"), widget("prefix", "STRING", StringWidget("out"), False)),
            sink=True,
        ),
        NodeSpec("Pass", inputs=(InputSpec("value", "*"),), outputs=(OutputSpec("value", "*"),)),
        NodeSpec("Show", inputs=(InputSpec("value", "*"),), sink=True),
        NodeSpec("Any", inputs=(InputSpec("first", "INT", False),), sink=True, dynamic_inputs=True),
        NodeSpec(
            "Checked",
            inputs=(widget("n", "INT", IntWidget(0, 0, 9)), widget("c", "COMBO", ChoiceWidget(("a",)))),
            checked_inputs=("n", "c"),
            sink=True,
        ),
    )
}

Bind = Callable[..., Binding]


@pytest.fixture(scope="session")
def specs() -> Mapping[str, NodeSpec]:
    return SPECS


@pytest.fixture
def files() -> dict[str, list[str]]:
    return {"checkpoints": ["sd/one.safetensors", "two.safetensors"]}


@pytest.fixture
def bind_prompt(files: Mapping[str, list[str]]) -> Bind:
    """Bind a prompt written as `{id: (type, inputs)}`."""

    def run(prompt: Mapping[str, tuple[str, Mapping[str, Any]]], targets: Sequence[str] | None = None) -> Binding:
        data = {key: {"class_type": kind, "inputs": dict(inputs)} for key, (kind, inputs) in prompt.items()}
        return bind(build(read(data)), SPECS, files=lambda kind: files.get(kind, []), targets=targets)

    return run


@pytest.fixture
def sampling() -> dict[str, tuple[str, dict[str, Any]]]:
    """A sound prompt: load, sample, save."""
    return {
        "4": ("Loader", {"ckpt_name": "two.safetensors"}),
        "7": ("Empty", {}),
        "5": (
            "KSampler",
            {"model": ["4", 0], "steps": 20, "cfg": 8.0, "sampler_name": "euler", "latent_image": ["7", 0]},
        ),
        "9": ("Save", {"samples": ["5", 0]}),
    }
