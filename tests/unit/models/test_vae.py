"""The autoencoder: equal to diffusers, pictures in 0..1, sides cut to whole cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models.checkpoint import Checkpoint, load_vae
from engine.models.vae import Vae, VaeError
from tests.oracles import sd1


@pytest.fixture
def vae(checkpoint: Checkpoint) -> Vae:
    assert checkpoint.vae is not None
    return checkpoint.vae


def test_encoding_equals_the_mean_of_diffusers(vae: Vae, reference: Any) -> None:
    pixels = torch.rand(2, 12, 16, 3)
    expected = reference.vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mean
    assert (vae.encode(pixels) - expected).abs().max() < 1e-5


def test_decoding_equals_diffusers_in_0_to_1(vae: Vae, reference: Any) -> None:
    samples = torch.randn(2, 4, 5, 7)
    expected = (reference.vae.decode(samples).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert (vae.decode(samples) - expected).abs().max() < 1e-5
    assert expected.std() > 0.01


def test_odd_sides_are_cut_about_the_centre(vae: Vae) -> None:
    wide = Vae(vae.net, 8, 4)
    pixels = torch.arange(21 * 19).reshape(1, 21, 19, 1).expand(-1, -1, -1, 3)
    cut = wide.crop(pixels)
    assert cut.shape == (1, 16, 16, 3)
    assert cut[0, 0, 0, 0] == 2 * 19 + 1


def test_an_alpha_channel_is_left_out(vae: Vae) -> None:
    pixels = torch.rand(1, 8, 8, 4)
    assert torch.equal(vae.encode(pixels), vae.encode(pixels[..., :3]))


def test_a_picture_smaller_than_a_cell_is_refused(vae: Vae) -> None:
    with pytest.raises(VaeError, match="expected at least 2 x 2 pixels, got 8 x 1"):
        vae.encode(torch.rand(1, 1, 8, 3))


def test_latents_of_another_model_are_refused(vae: Vae) -> None:
    with pytest.raises(VaeError, match="expected 4 channels"):
        vae.decode(torch.zeros(1, 16, 4, 4))


def test_each_picture_of_a_batch_is_coded_as_if_alone(vae: Vae) -> None:
    samples = torch.randn(3, 4, 4, 4)
    alone = torch.cat([vae.decode(sample[None]) for sample in samples])
    assert torch.equal(vae.decode(samples), alone)


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "latents that are none either"), (1e38, "sound latents")])
def test_a_picture_that_is_no_number_is_an_error_not_a_black_file(vae: Vae, value: float, what: str) -> None:
    with pytest.raises(VaeError, match=f"the decoded picture is not a number: got {what}"):
        vae.decode(torch.full((1, 4, 2, 2), value))


def test_half_precision_that_overflows_is_widened_and_stays_so(reference: Any, tmp_path: Path) -> None:
    """SDXL's autoencoder has activations above what float16 holds."""
    state = sd1.autoencoder_state(reference.vae)
    state = {n: w * 3e4 if n == "decoder.conv_in.weight" else w for n, w in state.items()}
    save_file({name: weight.contiguous() for name, weight in state.items()}, tmp_path / "vae.safetensors")
    narrow, wide = (
        load_vae(tmp_path / "vae.safetensors", torch.device("cpu"), dtype) for dtype in (torch.float16, torch.float32)
    )
    samples = torch.randn(1, 4, 4, 4) * 10
    assert narrow.net.dtype == torch.float16
    assert (narrow.decode(samples) - wide.decode(samples)).abs().max() < 0.01
    assert narrow.net.dtype == torch.float32


def test_half_precision_that_holds_stays(reference: Any, tmp_path: Path) -> None:
    state = sd1.autoencoder_state(reference.vae)
    save_file({name: weight.contiguous() for name, weight in state.items()}, tmp_path / "vae.safetensors")
    vae = load_vae(tmp_path / "vae.safetensors", torch.device("cpu"), torch.float16)
    samples = torch.randn(1, 4, 4, 4)
    expected = (reference.vae.decode(samples).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    assert (vae.decode(samples) - expected).abs().max() < 0.05
    assert vae.net.dtype == torch.float16
