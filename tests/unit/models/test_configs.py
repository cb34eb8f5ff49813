"""Configurations inferred from shapes: the published layouts exactly, and nets of any width and depth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.configs import autoencoder_config, unet_config
from engine.models.detect import UNET, ArchitectureError, Shapes
from engine.models.nets.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.nets.unet import UNet, UNetConfig

MANIFEST = json.loads((Path(__file__).parents[2] / "data" / "keys" / "sd1.json").read_text())


def manifest(part: str) -> Shapes:
    return {name: tuple(shape) for name, shape in MANIFEST[part].items()}


def shapes_of(net: torch.nn.Module) -> Shapes:
    return {name: tuple(weight.shape) for name, weight in net.state_dict().items()}


def test_the_published_unet_has_the_published_configuration() -> None:
    assert unet_config(manifest("unet"), "") == UNetConfig()


def test_the_published_autoencoder_has_the_published_configuration() -> None:
    assert autoencoder_config(manifest("vae"), "") == AutoencoderConfig()


def test_nets_built_from_the_inferred_configurations_have_the_published_tensors() -> None:
    with torch.device("meta"):
        unet = UNet(unet_config(manifest("unet"), ""))
        autoencoder = Autoencoder(autoencoder_config(manifest("vae"), ""))
    assert shapes_of(unet) == manifest("unet")
    assert shapes_of(autoencoder) == manifest("vae")


@st.composite
def unets(draw: st.DrawFn) -> UNetConfig:
    levels = draw(st.integers(1, 4))
    linear = draw(st.booleans())
    depths = draw(st.lists(st.integers(0, 2), min_size=levels, max_size=levels))
    middle = draw(st.integers(0, 2))
    return UNetConfig(
        in_channels=draw(st.sampled_from([4, 5, 9])),
        model_channels=64,
        channel_mult=tuple(draw(st.lists(st.integers(1, 4), min_size=levels, max_size=levels))),
        num_res_blocks=draw(st.integers(1, 3)),
        transformer_depth=tuple(depths),
        middle_depth=middle,
        context_channels=48,
        num_heads=None if linear else 8,
        head_channels=64 if linear else None,
        linear_projection=linear,
        vector_channels=draw(st.sampled_from([None, 96])),
    )


@settings(max_examples=25, deadline=None)
@given(unets())
def test_a_unet_of_any_shape_is_read_back_from_its_tensors(config: UNetConfig) -> None:
    with torch.device("meta"):
        shapes = shapes_of(UNet(config))
    found = unet_config({UNET + name: shape for name, shape in shapes.items()})
    with torch.device("meta"):
        assert shapes_of(UNet(found)) == shapes
    if any(config.transformer_depth) or config.middle_depth:
        assert found == config


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3), st.sampled_from([4, 16]))
def test_an_autoencoder_of_any_shape_is_read_back(mults: list[int], blocks: int, latent: int) -> None:
    config = AutoencoderConfig(channels=32, channel_mult=tuple(mults), num_res_blocks=blocks, latent_channels=latent)
    with torch.device("meta"):
        assert autoencoder_config(shapes_of(Autoencoder(config)), "") == config


@pytest.mark.parametrize("name", ["input_blocks.0.0.weight", "out.2.weight", "input_blocks.1.0.in_layers.2.weight"])
def test_a_missing_tensor_is_named(name: str) -> None:
    shapes = {key: shape for key, shape in manifest("unet").items() if key != name}
    with pytest.raises(ArchitectureError, match=f"a.ckpt: a tensor is missing: expected {name}"):
        unet_config(shapes, "", where="a.ckpt")


def test_levels_of_different_depth_are_refused() -> None:
    shapes = {key: shape for key, shape in manifest("unet").items() if not key.startswith("input_blocks.11.")}
    with pytest.raises(ArchitectureError, match="got 2, 2, 2, 1 residual blocks"):
        unet_config(shapes, "")


def test_an_autoencoder_without_encoder_is_named() -> None:
    with pytest.raises(ArchitectureError, match=r"expected encoder\.conv_in\.weight"):
        autoencoder_config({"decoder.conv_in.weight": (64, 4, 3, 3)}, "")
