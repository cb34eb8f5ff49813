"""Cascades as they run: words are encoded once for all stages and runs, and memory holds as many stages as it can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from engine.app.surroundings import surroundings
from engine.compat import prompt_json
from engine.compat.media import prompt_from_file
from engine.diffusion.cascade import stage_denoiser
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.sampling import drive
from engine.foundation.settings import Settings, settings_under
from engine.graph.bind import bind
from engine.graph.build import build
from engine.memory.device import SimulatedDevice
from engine.memory.handle import ModelHandle
from engine.memory.room import ROOM, Room
from engine.models.cascade import load_stage
from engine.models.text.t5 import T5Encoder, load_t5, t5_of
from engine.plugins.packs import load_packs
from engine.runtime.checks import checked
from engine.runtime.executor import run
from engine.runtime.result_cache import ResultCache
from engine.tensors.values import Pixels
from nodes.cascade import cascade_sample, empty_pixels, super_resolve
from tests.oracles.cascade import original_state, unet
from tests.unit.models.test_t5 import SPIECE, oracle, tied

ROOT = Path(__file__).parents[2]
MIB = 2**20
WIDTH = 32  # of the tiny T5
FEW: dict[str, Any] = {"schedule": "trailing", "steps": 2, "seed": 3}


class Parts:
    """An encoder and two stages, from files."""

    def __init__(self, models: Path) -> None:
        for kind in ("diffusion_models", "text_encoders"):
            (models / kind).mkdir(parents=True)
        self.encoder = models / "text_encoders" / "t5xxl_fp16.safetensors"
        self.stages = [models / "diffusion_models" / f"IF-{name}-v1.0.safetensors" for name in ("I-XL", "II-L")]
        save_file(tied(oracle()), self.encoder)
        (models / "text_encoders" / "spiece.model").write_bytes(SPIECE.read_bytes())
        for number, path in enumerate(self.stages):
            save_file(original_state(unet((64, 96), (1, 1), upscaling=bool(number), encoder=WIDTH)), path)

    def loaded(self) -> tuple[T5Encoder, Denoiser, Denoiser]:
        cpu = torch.device("cpu")
        first, later = (stage_denoiser(load_stage(path, cpu)) for path in self.stages)
        return load_t5(self.encoder, cpu, SPIECE), first, later


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(tmp_path_factory.mktemp("cascade") / "models")


def small(t5: T5Encoder, first: Denoiser) -> Pixels:
    sides = (t5.encode("a red circle"), t5.encode(""))
    return drive(cascade_sample(first, *sides, empty_pixels(8, 8), **FEW))[0]  # type: ignore[arg-type]


def large(t5: T5Encoder, later: Denoiser, picture: Pixels) -> Tensor:
    sides = (t5.encode("a red circle"), t5.encode(""))
    return drive(super_resolve(later, *sides, picture, 2.0, **FEW))[0].samples  # type: ignore[arg-type]


@contextmanager
def room(limit: int) -> Iterator[tuple[Room, Any]]:
    device = SimulatedDevice(limit)
    made = Room(device, bounds=(1, 64 * 1024))
    token = ROOM.set(made)
    try:
        yield made, device.simulation
    finally:
        ROOM.reset(token)
        made.clear()


def there(model: Denoiser) -> bool:
    """Whether a stage has bytes on the device."""
    tenant = model.net._tenant
    return tenant is not None and tenant.reserved is not None


def whole(model: Denoiser) -> bool:
    """Whether all weights of a stage are on the device."""
    tenant = model.net._tenant
    return there(model) and tenant is not None and tenant.placing is not None and not tenant.placing.hooks


@contextmanager
def counted(*stages: Denoiser) -> Iterator[list[int]]:
    """How many of the stages have bytes on the device, at every call of their nets."""
    counts: list[int] = []
    hooks = [
        stage.net._net.register_forward_pre_hook(lambda *_: counts.append(sum(there(other) for other in stages)))
        for stage in stages
    ]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def limits(parts: Parts) -> dict[str, int]:
    """Bytes that hold one stage, all of one and most of the other, and both with what they compute."""
    sizes = [stage.net.nbytes for stage in parts.loaded()[1:]]
    return {"one": max(sizes) + 2 * MIB, "almost both": sum(sizes), "both": sum(sizes) + 8 * MIB}


@pytest.mark.parametrize("held", ["one", "almost both", "both"])
def test_a_stage_leaves_the_device_for_the_next_one_unless_there_is_room_for_both(parts: Parts, held: str) -> None:
    t5, first, later = parts.loaded()
    limit = limits(parts)[held]
    with room(limit) as (made, simulation), counted(first, later) as counts:
        picture = small(t5, first)
        assert whole(first)
        result = large(t5, later, picture)
        assert whole(later)
        assert there(first) == (held == "both")
        assert max(counts) == (2 if held == "both" else 1)
        assert simulation.peak <= limit
        assert made.out_of_memory == 0
    assert result.isfinite().all()


def test_words_are_the_same_from_an_encoder_that_does_not_fit(parts: Parts) -> None:
    torch.manual_seed(0)
    shape = {"d_model": 128, "d_kv": 32, "d_ff": 1024, "num_layers": 4, "num_heads": 4}
    net = T5EncoderModel(T5Config(vocab_size=512, feed_forward_proj="gated-gelu", **shape)).eval()
    handle = ModelHandle(t5_of(net.state_dict(), torch.float32, ""), torch.device("cpu"))
    encoder = T5Encoder(handle, parts.loaded()[0].tokenizer)
    expected = encoder.encode("a red circle").prompts[0].tokens
    with room(encoder.nbytes // 2) as (made, simulation):
        assert (encoder.encode("a red circle").prompts[0].tokens - expected).abs().max() < 1e-5
        assert made.hooked > 0
        assert simulation.peak <= encoder.nbytes // 2


def test_the_picture_is_the_same_under_any_budget(parts: Parts) -> None:
    t5, first, later = parts.loaded()
    expected = large(t5, later, small(t5, first))
    for share in (1.2, 0.5):
        limit = int(share * later.net.nbytes) + 2 * MIB
        with room(limit) as (made, simulation):
            assert (large(t5, later, small(t5, first)) - expected).abs().max() < 1e-4
            assert simulation.peak <= limit
            assert made.out_of_memory == 0


def few_steps(prompt: dict[str, Any], seed: int) -> dict[str, Any]:
    for node in prompt.values():
        inputs = node["inputs"]
        if node["class_type"].startswith("Cascade") and "schedule" in inputs:
            inputs |= {"schedule": "trailing", "steps": 1}
        if "width" in inputs:
            inputs |= {"width": 8, "height": 8}
        if node["class_type"] == "CascadeSample":
            inputs["seed"] = seed
    return prompt


def painted(settings: Settings, cache: ResultCache, seed: int) -> None:
    registry, around = load_packs(None).registry, surroundings(settings)
    prompt = json.loads(json.dumps(dict(prompt_from_file(ROOT / "workflows" / "cascade.json", registry.specs))))
    graph = bind(build(prompt_json.read(few_steps(prompt, seed))), registry.specs, files=around.folders.list).require()
    assert run(checked(graph, registry), registry, around, cache=cache, sink=lambda _event: None).error is None


def test_words_are_encoded_once_for_all_stages_and_all_runs(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, ...]] = []
    states = T5Encoder.states

    def counted(self: T5Encoder, ids: Tensor, mask: Tensor) -> Tensor:
        calls.append(tuple(ids.shape))
        return states(self, ids, mask)

    monkeypatch.setattr(T5Encoder, "states", counted)
    base = settings_under(parts.encoder.parents[2])
    settings = replace(base, output=tmp_path / "output", temp=tmp_path / "temp", custom_nodes=False, device="cpu")
    cache = ResultCache(2**29)
    for seed in (1, 2):
        painted(settings, cache, seed)
    assert calls == [(1, 77), (1, 77)]  # the prompt and the negative one
