"""T2I-Adapters equal diffusers', control-loras equal ControlNets whose weights were summed, on tiny random nets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.models.control.controlnet import ControlModel
from engine.models.control.errors import ControlError
from engine.models.control.reading import load_control
from engine.models.detect import ArchitectureError
from engine.models.nets.patches import Patch
from engine.tensors.values import Image
from tests.oracles import control, families, sd1
from tests.oracles.sd1 import State
from tests.unit.diffusion.nets import CONTEXT, noise, twin, twins

CPU = torch.device("cpu")
SIGMA = 1.5
WIDTHS = (32, 64, 128)
HINT_NET = (16, 16, 32, 32)
TOKENS = noise(2, 5, CONTEXT)


def saved(path: Path, state: State) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def hint(side: int = 128, channels: int = 3) -> Image:
    return Image(torch.rand(2, side, side, channels, generator=torch.Generator().manual_seed(8)))


def controlled(denoiser: Denoiser, model: ControlModel, picture: Image, strength: float = 1.0) -> Denoiser:
    patch = model.control(picture, strength, 0.0, 1.0)
    assert isinstance(patch, Patch)
    return denoiser.with_patches(patch)


def adapted(unet: Any, net: Any, x: Tensor, time: float, picture: Image, strength: float, **told: Any) -> Tensor:
    """The estimate of diffusers' UNet with an adapter."""
    with torch.no_grad():
        features = [strength * feature for feature in net(picture.movedim(-1, 1))]
        out = unet(
            x / (1 + SIGMA**2) ** 0.5, torch.tensor(time), TOKENS, down_intrablock_additional_residuals=features, **told
        ).sample
        estimate: Tensor = x - SIGMA * out
    return estimate


def layouts(net: Any) -> dict[str, State]:
    return {"original": control.adapter_state(net), "diffusers": dict(net.state_dict())}


@pytest.mark.parametrize("layout", ["original", "diffusers"])
@pytest.mark.parametrize(("kind", "channels"), [("full_adapter", 3), ("full_adapter", 1), ("light_adapter", 3)])
@pytest.mark.parametrize("side", [16, 9])
def test_adapters_for_sd_equal_diffusers(tmp_path: Path, layout: str, kind: str, channels: int, side: int) -> None:
    denoiser, unet = twins(WIDTHS)
    widths = WIDTHS[:2] if kind.startswith("light") else WIDTHS
    net = control.adapter(widths, kind, channels)
    if kind.startswith("light"):  # the light form ends with two stages of one width
        unet = sd1.unet((32, 64, 64), 1, CONTEXT)
        denoiser = twin(unet)
    model = load_control(saved(tmp_path / "depth.safetensors", layouts(net)[layout]), CPU)
    x, picture = noise(2, 4, side, side), hint(8 * side, channels)
    own = controlled(denoiser, model, picture, 0.6).denoise(x, SIGMA, TOKENS)
    expected = adapted(unet, net, x, denoiser.levels.timestep(SIGMA), picture, 0.6)
    assert (own - expected).abs().max() < 1e-5
    assert (own - denoiser.denoise(x, SIGMA, TOKENS)).abs().max() > 1e-3


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_adapters_for_sdxl_equal_diffusers(tmp_path: Path, layout: str) -> None:
    width = 64 + 6 * 256
    unet = families.linear_unet((64, 64, 128), (0, 1, 2), CONTEXT, vector=width, kind="sizes")
    denoiser, net = twin(unet), control.adapter((64, 64, 128, 128), "full_adapter_xl")
    model = load_control(saved(tmp_path / "xl.safetensors", layouts(net)[layout]), CPU)
    told = {"text_embeds": noise(2, 64, seed=3), "time_ids": torch.zeros(2, 6)}
    waves = torch.cat([torch.ones(2, 128), torch.zeros(2, 128)], dim=1).repeat(1, 6)
    x, picture = noise(2, 4, 16, 16), hint()
    vector = torch.cat([told["text_embeds"], waves], dim=1)
    own = controlled(denoiser, model, picture).denoise(x, SIGMA, TOKENS, vector)
    expected = adapted(unet, net, x, denoiser.levels.timestep(SIGMA), picture, 1.0, added_cond_kwargs=told)
    assert (own - expected).abs().max() < 1e-5
    assert controlled(denoiser, model, picture).denoise(x[..., :9, :15], SIGMA, TOKENS, vector).shape == (2, 4, 9, 15)


def test_an_adapter_is_asked_once_for_all_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser, _ = twins(WIDTHS)
    model: Any = load_control(saved(tmp_path / "t2i.safetensors", layouts(control.adapter(WIDTHS))["original"]), CPU)
    asked = []
    model.net._net.register_forward_hook(lambda *_: asked.append(1))
    steered = controlled(denoiser, model, hint())
    for sigma in (3.0, 2.0, 1.0):
        steered.denoise(noise(2, 4, 16, 16), sigma, TOKENS)
    assert len(asked) == 1
    steered.denoise(noise(2, 4, 24, 24), 1.0, TOKENS)
    steered.denoise(noise(2, 4, 24, 24), 0.5, TOKENS)
    assert len(asked) == 2
    assert model.nbytes > 0


def test_adapters_of_another_base_and_of_no_sense_are_refused(tmp_path: Path) -> None:
    denoiser, _ = twins(WIDTHS)
    model = load_control(saved(tmp_path / "t.safetensors", layouts(control.adapter((32, 64, 64)))["original"]), CPU)
    with pytest.raises(
        ControlError, match=r"t\.safetensors: this T2I-Adapter is for another .* features of 32, 64, 64"
    ):
        controlled(denoiser, model, hint()).denoise(noise(2, 4, 16, 16), SIGMA, TOKENS)
    state = layouts(control.adapter(WIDTHS))["original"]
    with pytest.raises(ArchitectureError, match=r"half\.safetensors: the tensors do not fit .*missing"):
        load_control(saved(tmp_path / "half.safetensors", {k: v for k, v in state.items() if "5.block1" not in k}), CPU)
    odd = state | {"conv_in.weight": torch.zeros(32, 128, 3, 3)}
    with pytest.raises(ArchitectureError, match="hints of a kind that is not known: expected 1 or 3 channels"):
        load_control(saved(tmp_path / "odd.safetensors", odd), CPU)
    with pytest.raises(ControlError, match="no weights by depth"):
        model.with_weights(0.5)


@pytest.mark.parametrize("linear", [False, True])
def test_a_control_lora_is_the_models_own_net_with_low_rank_changes(tmp_path: Path, linear: bool) -> None:
    denoiser, unet = twins(WIDTHS)
    if linear:
        unet = families.linear_unet((64, 128), (1, 0), CONTEXT)
        denoiser = twin(unet)
    base = {name: weight.detach() for name, weight in denoiser.net.weights().items()}
    file, summed = control.lora_of(control.controlnet(unet, hint=HINT_NET), base)
    model = load_control(saved(tmp_path / "lora.safetensors", file), CPU)
    whole = load_control(saved(tmp_path / "whole.safetensors", summed), CPU)
    x, picture = noise(2, 4, 16, 16), hint()
    for soft in (1.0, 0.8):
        own = controlled(denoiser, model.with_weights(soft), picture, 0.9).denoise(x, SIGMA, TOKENS)
        expected = controlled(denoiser, whole.with_weights(soft), picture, 0.9).denoise(x, SIGMA, TOKENS)
        assert (own - expected).abs().max() < 1e-5


def test_a_control_lora_for_another_base_or_with_parts_missing_is_refused(tmp_path: Path) -> None:
    denoiser, unet = twins(WIDTHS)
    base = {name: weight.detach() for name, weight in denoiser.net.weights().items()}
    file, _ = control.lora_of(control.controlnet(unet, hint=HINT_NET), base)
    path = saved(tmp_path / "lora.safetensors", file)
    other = twins((64, 64, 128))[0]
    with pytest.raises(ControlError, match=r"lora\.safetensors: this control-lora is for another base model: expected"):
        controlled(other, load_control(path, CPU), hint()).denoise(noise(2, 4, 16, 16), SIGMA, TOKENS)
    short = twins((32, 64))[0]
    with pytest.raises(ControlError, match="this control-lora is for another base model"):
        controlled(short, load_control(path, CPU), hint()).denoise(noise(2, 4, 16, 16), SIGMA, TOKENS)
    half = saved(tmp_path / "half.safetensors", {k: v for k, v in file.items() if not k.startswith("zero_convs.1")})
    with pytest.raises(ControlError, match=r"half\.safetensors: this control-lora is incomplete: expected zero_convs"):
        controlled(denoiser, load_control(half, CPU), hint()).denoise(noise(2, 4, 16, 16), SIGMA, TOKENS)
    bare = saved(tmp_path / "bare.safetensors", {k: v for k, v in file.items() if "hint" not in k})
    with pytest.raises(ControlError, match=r"incomplete: expected input_hint_block\.0\.weight"):
        load_control(bare, CPU).control(hint(), 1.0, 0.0, 1.0)
