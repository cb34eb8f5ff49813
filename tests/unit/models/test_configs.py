"""Configurations inferred from shapes: the published layouts exactly, and nets of any width and depth."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.configs import autoencoder_config, unet_config
from engine.models.detect import UNET, ArchitectureError, Shapes
from engine.models.nets.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.nets.unet import UNet, UNetConfig
from tests import manifests

SD2 = {"head_channels": 64, "num_heads": None, "linear_projection": True}
PUBLISHED = {
    "sd1": UNetConfig(),
    "sd2": UNetConfig(context_channels=1024, **SD2),
    "sd21-unclip-h": UNetConfig(context_channels=1024, vector_channels=2048, **SD2),
    "sd21-unclip-l": UNetConfig(context_channels=1024, vector_channels=1536, **SD2),
    "sdxl-base": UNetConfig(
        channel_mult=(1, 2, 4), transformer_depth=(0, 2, 10), middle_depth=10, context_channels=2048,
        vector_channels=2816, **SD2,
    ),
    "sdxl-refiner": UNetConfig(
        model_channels=384, transformer_depth=(0, 4, 4, 0), middle_depth=4, context_channels=1280,
        vector_channels=2560, **SD2,
    ),
    "sd-x4-upscaler": UNetConfig(
        in_channels=7, model_channels=256, channel_mult=(1, 2, 2, 4), transformer_depth=(0, 1, 1, 1),
        context_channels=1024, linear_projection=True, classes=1000, cross_only=(False, True, True, False),
    ),
}  # fmt: skip


def manifest(part: str) -> Shapes:
    return manifests.manifest("sd1", part)


def shapes_of(net: torch.nn.Module) -> Shapes:
    return {name: tuple(weight.shape) for name, weight in net.state_dict().items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_unets_have_the_published_configurations(name: str) -> None:
    assert unet_config(manifests.manifest(name), "") == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_unet_built_from_its_inferred_configuration_has_the_published_tensors(name: str) -> None:
    shapes = manifests.manifest(name)
    with torch.device("meta"):
        assert shapes_of(UNet(unet_config(shapes, ""))) == shapes


def test_the_published_autoencoder_has_the_published_configuration() -> None:
    assert autoencoder_config(manifest("vae"), "") == AutoencoderConfig()


@pytest.mark.parametrize("name", ["sd1", "sdxl-base", "sd-x4-upscaler"])
def test_an_autoencoder_built_from_its_inferred_configuration_has_the_published_tensors(name: str) -> None:
    shapes = manifests.manifest(name, "vae")
    config = autoencoder_config(shapes, "")
    with torch.device("meta"):
        assert shapes_of(Autoencoder(config)) == shapes
    assert config.downscale == (4 if "x4" in name else 8)


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
