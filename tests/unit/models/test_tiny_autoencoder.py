"""The tiny autoencoder equals diffusers' in every layout of files; sizes come from shapes; other files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models.detect import ArchitectureError
from engine.models.nets.tiny_autoencoder import TinyConfig, TinyDecoder, TinyEncoder
from engine.models.tiny_autoencoder import load_tiny_decoder, load_tiny_encoder
from tests.oracles import tiny

CPU = torch.device("cpu")
LAYOUTS = ("original", "joined", "prefixed", "diffusers")


@pytest.fixture(scope="module")
def net() -> Any:
    return tiny.autoencoder()


def saved(folder: Path, state: tiny.State, name: str = "taesd_decoder.safetensors") -> Path:
    path = folder / name
    if path.suffix == ".pth":
        torch.save(state, path)
    else:
        save_file({key: weight.contiguous() for key, weight in state.items()}, path)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_decoding_equals_diffusers_in_0_to_1(layout: str, net: Any, tmp_path: Path) -> None:
    samples = torch.randn(2, 4, 5, 7) * 3
    expected = net.decode(samples).sample / 2 + 0.5
    with load_tiny_decoder(saved(tmp_path, tiny.layouts(net)[layout]), CPU).lease() as decoder:
        pixels = decoder(samples)
    assert pixels.shape == (2, 3, 40, 56)
    assert (pixels - expected).abs().max() < 1e-5
    assert expected.std() > 0.01


@pytest.mark.parametrize("layout", LAYOUTS)
def test_encoding_equals_diffusers(layout: str, net: Any, tmp_path: Path) -> None:
    state = tiny.half(net, "encoder") if layout == "original" else tiny.layouts(net)[layout]
    pixels = torch.rand(2, 3, 24, 16)
    expected = net.encode(pixels * 2 - 1).latents
    with load_tiny_encoder(saved(tmp_path, state), CPU).lease() as encoder:
        latents = encoder(pixels)
    assert latents.shape == (2, 4, 3, 2)
    assert (latents - expected).abs().max() < 1e-5
    assert expected.std() > 0.01


@pytest.mark.parametrize("channels", [4, 16])
def test_a_decoder_of_full_size_equals_diffusers(channels: int, tmp_path: Path) -> None:
    net = tiny.autoencoder(channels, 64)
    path = saved(tmp_path, tiny.half(net, "decoder"), "decoder.pth")
    samples = torch.randn(1, channels, 4, 4)
    with load_tiny_decoder(path, CPU).lease() as decoder:
        assert decoder.config == TinyConfig(channels)
        assert (decoder(samples) - (net.decode(samples).sample / 2 + 0.5)).abs().max() < 1e-5


def test_the_names_are_those_of_the_published_files() -> None:
    with torch.device("meta"):
        decoder, encoder = TinyDecoder(TinyConfig()), TinyEncoder(TinyConfig(blocks=(1, 3, 3, 3)))
    names, shapes = decoder.state_dict(), {name: tuple(w.shape) for name, w in encoder.state_dict().items()}
    assert {"1.weight", "3.conv.0.weight", "5.conv.4.bias", "7.weight", "12.weight", "17.weight", "19.bias"} <= {*names}
    assert "7.bias" not in names
    assert shapes["2.weight"] == (64, 64, 3, 3)
    assert shapes["14.weight"] == (4, 64, 3, 3)


def test_widths_and_levels_come_from_the_shapes(tmp_path: Path) -> None:
    config = TinyConfig(32, (16, 8, 4, 4, 4, 4), (2, 1, 1, 1, 1, 1))
    path = saved(tmp_path, dict(TinyDecoder(config).state_dict()))
    with load_tiny_decoder(path, CPU).lease() as decoder:
        assert decoder.config == config
        assert decoder(torch.zeros(1, 32, 1, 2)).shape == (1, 3, 32, 64)


@pytest.mark.parametrize("name", ["1.bias", "4.conv.2.weight", "12.weight", "19.weight"])
def test_a_decoder_that_lacks_a_tensor_is_refused(name: str, net: Any, tmp_path: Path) -> None:
    state = tiny.half(net, "decoder")
    del state[name]
    with pytest.raises(ArchitectureError):
        load_tiny_decoder(saved(tmp_path, state), CPU)


def test_a_tensor_of_another_shape_is_refused(net: Any, tmp_path: Path) -> None:
    state = {**tiny.half(net, "decoder"), "1.weight": torch.zeros(4)}
    with pytest.raises(ArchitectureError, match="of another shape"):
        load_tiny_decoder(saved(tmp_path, state), CPU)


def test_the_halves_are_not_mistaken_for_each_other(net: Any, tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="expected the decoder of a tiny autoencoder"):
        load_tiny_decoder(saved(tmp_path, tiny.half(net, "encoder")), CPU)
    with pytest.raises(ArchitectureError, match="expected the encoder of a tiny autoencoder"):
        load_tiny_encoder(saved(tmp_path, tiny.half(net, "decoder")), CPU)
