"""Pixel UNets of every stage against diffusers, in both layouts; their shapes from files; what a forward takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.cascade import load_stage, load_stage_folder, stage_of
from engine.models.detect import ArchitectureError
from engine.models.nets.pixel_unet import PixelUNet, PixelUNetConfig
from engine.models.pixel_names import original_pixel_unet, pixel_config
from tests.oracles.cascade import ENCODER, WORDS, original_state, unet
from tests.unit.diffusion.nets import noise
from tests.unit.models.test_activations import Live

CPU = torch.device("cpu")
SHAPES = [((32, 64, 96), (2, 2, 2)), ((32, 96, 96), (1, 2, 3)), ((64, 96), (1, 1))]
IF_M, IF_L, IF_XL = (
    PixelUNetConfig(
        widths=tuple(base * mult for mult in (1, 2, 3, 4)), embedding_channels=4 * base, word_channels=4 * base
    )
    for base in (192, 320, 704)
)


def given(*, upscaling: bool, side: int = 16) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    x, words = noise(2, 6 if upscaling else 3, side, side), noise(2, 7, ENCODER, seed=1)
    return x, torch.tensor([500.0, 20.0]), words, torch.tensor([250.0, 3.0]) if upscaling else None


def answered(oracle: Any, x: Tensor, timesteps: Tensor, words: Tensor, level: Tensor | None) -> Tensor:
    with torch.no_grad():
        answer: Tensor = oracle(x, timesteps, words, class_labels=level).sample
    return answer


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in state.items()}


@pytest.mark.parametrize("upscaling", [False, True])
@pytest.mark.parametrize(("widths", "blocks"), SHAPES)
def test_a_stage_equals_that_of_diffusers(widths: tuple[int, ...], blocks: tuple[int, ...], upscaling: bool) -> None:
    oracle = unet(widths, blocks, upscaling=upscaling)
    stage = stage_of(original_state(oracle), CPU, "stage")
    inputs = given(upscaling=upscaling)
    with stage.net.lease() as net:
        own = net(*inputs)
        assert (net.config.widths, net.config.blocks) == (widths, blocks)
    expected = answered(oracle, *inputs)
    assert expected.std() > 0.1
    assert (own - expected).abs().max() < 1e-5
    assert (stage.upscaling, stage.learned_variance) == (upscaling, True)


@pytest.mark.parametrize("upscaling", [False, True])
@pytest.mark.parametrize(("widths", "blocks"), SHAPES)
def test_names_of_diffusers_become_the_originals(
    widths: tuple[int, ...], blocks: tuple[int, ...], upscaling: bool
) -> None:
    oracle = unet(widths, blocks, upscaling=upscaling)
    expected, own = original_state(oracle), original_pixel_unet(oracle.state_dict())
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[name], weight) for name, weight in expected.items())


def test_a_single_file_loads_in_either_layout(tmp_path: Path) -> None:
    oracle, inputs = unet(upscaling=True), given(upscaling=True)
    save_file(
        {name: weight.half() for name, weight in original_state(oracle).items()}, tmp_path / "original.safetensors"
    )
    torch.save({name: weight.half() for name, weight in oracle.state_dict().items()}, tmp_path / "pytorch_model.bin")
    answers = []
    for path in (tmp_path / "original.safetensors", tmp_path / "pytorch_model.bin"):
        with load_stage(path, CPU).net.lease() as net:
            answers.append(net(*inputs))
    assert torch.equal(*answers)
    assert (answers[0] - answered(oracle, *inputs)).abs().max() < 0.02


def test_a_folder_says_how_wide_heads_are(tmp_path: Path) -> None:
    oracle = unet((32, 64), (1, 1))
    oracle.save_pretrained(tmp_path / "unet")
    with load_stage_folder(tmp_path, CPU).net.lease() as net:
        assert net.config.head_channels == 32
        assert (net(*given(upscaling=False)) - answered(oracle, *given(upscaling=False))).abs().max() < 1e-5
    assert pixel_config(shapes_of(original_state(oracle))).head_channels == 64


@pytest.mark.parametrize(("config", "millions"), [(IF_M, 372), (IF_L, 935), (IF_XL, 4305)])
def test_published_sizes_have_as_many_numbers_as_published(config: PixelUNetConfig, millions: int) -> None:
    with torch.device("meta"):
        net = PixelUNet(config)
    assert round(sum(weight.numel() for weight in net.parameters()) / 1e6) == millions
    assert pixel_config(shapes_of(net.state_dict())) == config


@pytest.mark.parametrize("blocks", [(2, 2, 3, 5, 5), (2, 2, 3, 3, 4, 4)])
def test_the_shape_of_a_later_stage_is_seen_in_its_file(blocks: tuple[int, ...]) -> None:
    config = PixelUNetConfig(
        in_channels=6,
        widths=tuple(32 * (1 + level) for level in range(len(blocks))),
        blocks=blocks,
        attention=tuple(level >= len(blocks) - 2 for level in range(len(blocks))),
        embedding_channels=96,
        word_channels=96,
        head_channels=32,
        cross_only=True,
        levels=True,
    )
    with torch.device("meta"):
        state = PixelUNet(config).state_dict()
    assert pixel_config(shapes_of(state)) == config


def test_odd_sizes_come_out_as_they_went_in() -> None:
    x, times, words, _ = given(upscaling=False)
    with stage_of(original_state(unet()), CPU, "").net.lease() as net:
        assert net(x[:, :, :13, :11], times, words).shape == (2, 6, 13, 11)


@pytest.mark.parametrize("projected", [WORDS, None])
def test_words_that_are_as_wide_as_the_net_wants_may_be_projected_or_not(projected: int | None) -> None:
    config = PixelUNetConfig(
        widths=(32, 64), blocks=(1, 1), attention=(False, True), embedding_channels=64, encoder_channels=WORDS,
        word_channels=projected, head_channels=64,
    )  # fmt: skip
    net = PixelUNet(config).eval()
    assert ("encoder_proj.weight" in net.state_dict()) == (projected is not None)
    assert pixel_config(shapes_of(net.state_dict())) == config


def test_another_net_is_refused(tmp_path: Path) -> None:
    save_file({"input_blocks.0.0.weight": torch.zeros(4, 4, 3, 3)}, tmp_path / "unet.safetensors")
    with pytest.raises(ArchitectureError, match=r"unet\.safetensors: .* expected a stage of a pixel cascade"):
        load_stage(tmp_path / "unet.safetensors", CPU)


def test_a_missing_tensor_is_named() -> None:
    state = original_state(unet())
    del state["middle_block.1.qkv.weight"]
    with pytest.raises(ArchitectureError, match=r"stage: a tensor is missing: expected middle_block\.1\.qkv\.weight"):
        stage_of(state, CPU, "stage")


def test_a_net_that_answers_with_something_else_is_refused() -> None:
    state = original_state(unet())
    state |= {"out.2.weight": torch.zeros(4, 32, 3, 3), "out.2.bias": torch.zeros(4)}
    with pytest.raises(ArchitectureError, match="expected 3 or 6 channels, got 4"):
        stage_of(state, CPU, "stage")


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("side", [32, 48])
@pytest.mark.parametrize("upscaling", [False, True])
def test_the_estimate_is_what_is_alive(side: int, rows: int, upscaling: bool) -> None:
    more = {"in_channels": 6, "levels": True, "cross_only": True} if upscaling else {}
    config = PixelUNetConfig(
        widths=(64, 128, 192), blocks=(2, 2, 2), attention=(False, True, True), embedding_channels=256,
        encoder_channels=64, word_channels=192, **more,
    )  # fmt: skip
    net = PixelUNet(config).eval().requires_grad_(False)
    inputs = [torch.zeros(rows, config.in_channels, side, side), torch.zeros(rows), torch.zeros(rows, 77, 64)]
    with torch.inference_mode(), Live() as live:
        net(*inputs, *([torch.zeros(rows)] if upscaling else []))
    counted = live.peak / rows / 4
    assert 1.0 <= config.activations(side, side, 77) / counted < 1.25
