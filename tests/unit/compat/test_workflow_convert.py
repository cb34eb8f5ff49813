"""Every workflow of the corpus becomes its prompt; mutated ones raise nothing but a typed error."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.compat import prompt_json
from engine.compat.workflow import is_prompt, is_workflow, read_workflow, to_prompt
from engine.compat.workflow.links import Resolver
from engine.foundation.errors import EaselError
from engine.foundation.json import dumps
from engine.graph.document import DocumentError
from engine.graph.spec import ChoiceWidget, FloatWidget, InputSpec, IntWidget, NodeSpec, OutputSpec, StringWidget

CORPUS = Path(__file__).parents[2] / "data" / "workflows"
NAMES = sorted(path.name.removesuffix(".prompt.json") for path in CORPUS.glob("*.prompt.json"))
KINDS = {IntWidget: "INT", FloatWidget: "FLOAT", StringWidget: "STRING", ChoiceWidget: "COMBO"}
TEXT, FILE, SEED = StringWidget(), ChoiceWidget(files="x"), IntWidget(control_after_generate=True)
SIZE, ONE = IntWidget(512), FloatWidget(1.0)


def node(node_id: str, outputs: str = "", dynamic: bool = False, **inputs: Any) -> NodeSpec:
    """A spec whose inputs are sockets (a type) or widgets."""
    declared = [
        InputSpec(name, what) if isinstance(what, str) else InputSpec(name, KINDS[type(what)], widget=what)
        for name, what in inputs.items()
    ]
    slots = tuple(OutputSpec(name, name) for name in outputs.split())
    return NodeSpec(node_id, inputs=tuple(declared), outputs=slots, dynamic_inputs=dynamic)


SAMPLER_WIDGETS: dict[str, Any] = {
    "seed": SEED,
    "steps": IntWidget(20),
    "cfg": FloatWidget(8.0),
    "sampler_name": ChoiceWidget(("euler", "heun")),
    "scheduler": ChoiceWidget(("simple", "normal"), "normal"),
}
CONDITIONINGS = {"positive": "CONDITIONING", "negative": "CONDITIONING", "latent_image": "LATENT"}
LOADED = "MODEL CLIP VAE"
SPECS = {
    spec.id: spec
    for spec in (
        node("KSampler", "LATENT", model="MODEL", **SAMPLER_WIDGETS, **CONDITIONINGS, denoise=ONE),
        node("CheckpointLoaderSimple", LOADED, ckpt_name=FILE),
        node("LoraLoader", "MODEL CLIP", model="MODEL", clip="CLIP", lora_name=FILE, strength_model=ONE),
        node("EmptyLatentImage", "LATENT", width=SIZE, height=SIZE, batch_size=IntWidget(1)),
        node("CLIPTextEncode", "CONDITIONING", text=StringWidget(dynamic_prompts=True), clip="CLIP"),
        node("ConditioningSetStrength", "CONDITIONING", conditioning="CONDITIONING", strength=ONE),
        node("VAEDecode", "IMAGE", samples="LATENT", vae="VAE"),
        node("SaveImage", images="IMAGE", filename_prefix=StringWidget("ComfyUI")),
        node("PreviewImage", images="IMAGE"),
        node("SaveLatent", samples="LATENT", filename_prefix=StringWidget("latents/ComfyUI")),
        node("ImageInvert", "IMAGE", image="IMAGE"),
        node("ImageScale", "IMAGE", image="IMAGE", upscale_method=FILE, width=SIZE, height=SIZE, crop=FILE),
        node("LoadImage", "IMAGE MASK", image=ChoiceWidget(files="input", upload="image")),
        node("LoadImageMask", "MASK", image=ChoiceWidget(files="input", upload="image"), channel=FILE),
        node("PrimitiveString", "STRING", value=TEXT),
        node("BatchImages", "IMAGE", dynamic=True),
        NodeSpec(
            "OptionalFirst",
            inputs=(InputSpec("late", "STRING", False, TEXT), InputSpec("early", "STRING", True, TEXT)),
        ),
    )
}


def load(name: str) -> Any:
    return json.loads((CORPUS / f"{name}.json").read_text(encoding="utf-8"))


def convert(workflow: Any, seed: int = 0) -> dict[str, Any]:
    return to_prompt(read_workflow(workflow), SPECS, rng=random.Random(seed), now=datetime(2026, 3, 4, 5, 6, 7))


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_becomes_the_prompt_that_it_stands_for(name):
    assert convert(load(name)) == load(f"{name}.prompt")


@pytest.mark.parametrize("name", NAMES)
def test_conversion_changes_nothing_in_the_workflow(name):
    workflow = load(name)
    convert(workflow)
    assert workflow == load(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_two_kinds_of_file_are_told_apart(name):
    workflow, prompt = load(name), load(f"{name}.prompt")
    assert (is_workflow(workflow), is_prompt(workflow)) == (True, False)
    assert (is_workflow(prompt), is_prompt(prompt)) == (False, True)


@pytest.mark.parametrize("data", [None, 3, "text", [], [{"class_type": "A"}], {}, {"a": {}}, {"a": 1}])
def test_other_json_is_neither_kind_of_file(data):
    assert not is_workflow(data)
    assert not is_prompt(data)


def chain(length: int) -> dict[str, Any]:
    """A latent, `length` reroutes one after the other, and a saver at every hundredth of them."""
    slot = [{"name": "", "type": "*"}]
    nodes: list[dict[str, Any]] = [{"id": 0, "type": "EmptyLatentImage", "outputs": slot}]
    nodes += [{"id": i, "type": "Reroute", "inputs": [{**slot[0], "link": i}]} for i in range(1, length + 1)]
    links = [[i, i - 1, 0, i, 0, "*"] for i in range(1, length + 1)]
    for i in range(100, length + 1, 100):
        nodes.append({"id": -i, "type": "SaveLatent", "inputs": [{"name": "samples", "type": "LATENT", "link": -i}]})
        links.append([-i, i, 0, -i, 0, "LATENT"])
    return {"nodes": nodes[::-1], "links": links}


def test_ten_thousand_reroutes_are_walked_once(monkeypatch):
    steps = 0
    walk = Resolver._upstream

    def counted(self, *place):
        nonlocal steps
        steps += 1
        return walk(self, *place)

    monkeypatch.setattr(Resolver, "_upstream", counted)
    prompt = convert(chain(10_000))
    assert [prompt[f"-{i}"]["inputs"]["samples"] for i in range(100, 10_001, 100)] == [["0", 0]] * 100
    assert steps == 10_001


def test_the_dice_are_the_callers():
    workflow = {"nodes": [{"id": 1, "type": "CLIPTextEncode", "widgets_values": ["{a|b|{c|d}}"]}]}
    texts = {convert(workflow, seed)["1"]["inputs"]["text"] for seed in range(30)}
    assert texts == {"a", "b", "c", "d"}
    assert convert(workflow, 5) == convert(workflow, 5)


def test_a_file_name_takes_the_callers_date():
    workflow = {"nodes": [{"id": 1, "type": "SaveImage", "widgets_values": ["%date:yyyy-MM-dd%/x"]}]}
    assert convert(workflow)["1"]["inputs"]["filename_prefix"] == "2026-03-04/x"


def test_ids_that_meet_once_subgraphs_are_opened_up_are_refused():
    inner = {"id": "s", "nodes": [{"id": 2, "type": "PreviewImage"}]}
    nodes = [{"id": 1, "type": "s"}, {"id": "1:2", "type": "PreviewImage"}]
    with pytest.raises(DocumentError, match="two nodes have the id '1:2'"):
        convert({"nodes": nodes, "definitions": {"subgraphs": [inner]}})


def doubling(levels: int) -> dict[str, Any]:
    """Subgraphs of two instances of the next one each."""
    pair = [[{"id": i, "type": f"s{level + 1}"} for i in (1, 2)] for level in range(levels)]
    subgraphs = [{"id": f"s{level}", "nodes": nodes} for level, nodes in enumerate(pair)]
    subgraphs.append({"id": f"s{levels}", "nodes": [{"id": 1, "type": "EmptyLatentImage"}]})
    return {"nodes": [{"id": 1, "type": "s0"}], "definitions": {"subgraphs": subgraphs}}


def test_subgraphs_that_multiply_without_measure_are_refused():
    assert len(convert(doubling(5))) == 32
    with pytest.raises(DocumentError, match="more than 100000 nodes"):
        convert(doubling(60))


def test_subgraphs_that_nest_too_deep_are_refused():
    workflow = doubling(70)
    for subgraph in workflow["definitions"]["subgraphs"]:
        del subgraph["nodes"][1:]
    with pytest.raises(DocumentError, match="nest deeper than 64 levels"):
        convert(workflow)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every container of `data` with each of its keys."""
    found: list[tuple[Any, Any]] = []
    left = [data]
    while left:
        item = left.pop()
        if isinstance(item, dict | list):
            found += [(item, key) for key in (item if isinstance(item, dict) else range(len(item)))]
            left += item.values() if isinstance(item, dict) else item
    return found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(NAMES), st.data())
def test_a_mutated_workflow_gives_a_readable_prompt_or_a_typed_error(name, data):
    workflow = load(name)
    for _ in range(data.draw(st.integers(1, 6))):
        spots = places(workflow)
        container, key = data.draw(st.sampled_from(spots)) if spots else ({}, "nodes")
        other, at = data.draw(st.sampled_from(spots)) if spots else ({}, "nodes")
        action = data.draw(st.sampled_from(["delete", "replace", "move"]))
        if action == "delete":
            del container[key]
        else:
            container[key] = data.draw(json_values) if action == "replace" else json.loads(json.dumps(other[at]))
    with suppress(EaselError):
        prompt = convert(workflow)
        assert prompt_json.write(prompt_json.read(json.loads(dumps(prompt)))) == prompt
