"""LoRA files as diffusers writes and reads them: its own nets with PEFT's layers give the same pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.models.adapters.adapter import fitted, unmatched
from engine.models.adapters.applying import ChangedWeights
from engine.models.adapters.reading import read_adapter
from tests.unit.diffusion.nets import CONTEXT, noise, twins
from tests.unit.models.adapters.files import diffusers_modules, kohya, pairs

X, TOKENS = noise(2, 4, 16, 16), noise(2, 5, CONTEXT, seed=3)
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


def predicted(denoiser: Denoiser, oracle: Any) -> Tensor:
    """The estimate by the oracle's net."""
    with torch.no_grad():
        out: Tensor = oracle(X / 2**0.5, torch.tensor(denoiser.levels.timestep(1.0)), TOKENS).sample
    return X - out


def adapted(denoiser: Denoiser, path: Path, strength: float = 1.0) -> Denoiser:
    """The denoiser with the whole file; every name in it must fit."""
    file = read_adapter(path)
    with denoiser.net.lease() as net:
        assert unmatched(file, (net,)) == []
        own = fitted(file, net)
    return replace(denoiser, adapters=((own, strength),), changed=ChangedWeights())


def gap(denoiser: Denoiser, oracle: Any) -> float:
    return float((denoiser.denoise(X, 1.0, TOKENS) - predicted(denoiser, oracle)).abs().max())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"use_dora": True},
        {"target_modules": [*ATTENTION, "conv1", "conv_shortcut", "proj_in", "time_emb_proj"]},
        {"alpha_pattern": {"attn2.to_q": 7}, "rank_pattern": {"attn1.to_q": 2}},
    ],
    ids=["plain", "rank-stabilised", "dora", "convolutions", "patterns"],
)
def test_a_file_that_diffusers_saves_gives_the_estimate_of_its_net(tmp_path: Path, options: dict[str, Any]) -> None:
    denoiser, oracle = twins()
    config = peft.LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": ATTENTION, **options})
    oracle.add_adapter(config)
    generator = torch.Generator().manual_seed(0)
    for name, weight in oracle.named_parameters():
        if ".lora_" in name:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    state = peft.utils.get_peft_model_state_dict(oracle, adapter_name="default")
    metadata = {f"unet.{key}": value for key, value in config.to_dict().items() if _plain(value)}
    save_file(
        {f"unet.{name}": tensor.detach().contiguous() for name, tensor in state.items()},
        tmp_path / "lora.safetensors",
        {"lora_adapter_metadata": json.dumps(metadata)},
    )
    assert gap(denoiser, oracle) > 1e-2
    assert gap(adapted(denoiser, tmp_path / "lora.safetensors"), oracle) < 1e-5


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | dict | type(None))


@pytest.mark.parametrize("strength", [1.0, 0.4, -0.7])
@pytest.mark.parametrize("layout", ["kohya", "diffusers", "old"])
def test_a_file_that_diffusers_reads_gives_the_estimate_of_its_net(
    tmp_path: Path, layout: str, strength: float
) -> None:
    denoiser, oracle = twins()
    made = pairs(diffusers_modules(oracle, *ATTENTION))
    if layout == "kohya":
        tensors = kohya(made, "lora_unet_")
    else:
        tensors = {}
        for name, (down, up) in made.items():
            stem = f"unet.{name}"
            if layout == "old":
                block, _, part = name.removesuffix(".0").rpartition(".")
                stem = f"unet.{block}.processor.{part}_lora"
            middle = ".lora" if layout == "diffusers" else ""
            tensors |= {f"{stem}{middle}.down.weight": down, f"{stem}{middle}.up.weight": up}
    path = tmp_path / "lora.safetensors"
    save_file(tensors, path)
    loaded = StableDiffusionPipeline.lora_state_dict(path, unet_config=oracle.config)
    StableDiffusionPipeline.load_lora_into_unet(*loaded[:2], unet=oracle, adapter_name="default")
    oracle.set_adapters(["default"], [strength])
    assert gap(denoiser, oracle) > 1e-3
    assert gap(adapted(denoiser, path, strength), oracle) < 1e-5
