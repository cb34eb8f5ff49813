"""Sigmas from tables, text and other sigmas; noise added along them; masks by grey."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers.schedulers import AysSchedules
from hypothesis import given
from hypothesis import strategies as st

from engine.diffusion import published
from engine.diffusion.denoiser import Denoiser, denoiser_of
from engine.diffusion.differential import mask_by_sigma
from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.sampling import SamplingError, drive
from engine.models.checkpoint import load_checkpoint
from engine.tensors.noise import initial_noise
from engine.tensors.values import Conditioning, Latent, Sigmas
from nodes.custom_sampling import (
    Noise,
    basic_guider,
    basic_schedule,
    sampler_custom_advanced,
    select_sampler,
    split_sigmas,
)
from nodes.schedules import (
    SigmaTextError,
    add_noise,
    align_your_steps,
    differential_diffusion,
    extend_sigmas,
    manual_sigmas,
)

DEMO = Path(__file__).parents[3] / "models" / "checkpoints" / "easel-demo.safetensors"
LEVELS = scaled_linear()


@pytest.fixture(scope="module")
def demo() -> tuple[Denoiser, Conditioning]:
    checkpoint = load_checkpoint(DEMO, torch.device("cpu"))
    assert checkpoint.text_encoder is not None
    return denoiser_of(checkpoint), checkpoint.text_encoder.encode("a large red circle")


@pytest.mark.parametrize(
    ("name", "table"),
    [("SD1", "StableDiffusionSigmas"), ("SDXL", "StableDiffusionXLSigmas"), ("SVD", "StableDiffusionVideoSigmas")],
)
def test_ten_steps_are_the_published_ones(name: str, table: str) -> None:
    assert align_your_steps(name, 10).tolist() == AysSchedules[table]


@given(st.sampled_from(["SD1", "SDXL", "SVD"]), st.integers(1, 60), st.floats(0, 1))
def test_any_number_of_steps_falls_from_the_top_to_zero(name: str, steps: int, denoise: float) -> None:
    whole, part = (align_your_steps(name, steps, share).tolist() for share in (1.0, denoise))
    assert (len(whole), whole[-1]) == (steps + 1, 0.0)
    assert whole[0] == pytest.approx(published.ALIGN_YOUR_STEPS[name][0])
    assert all(a > b for a, b in pairwise(whole))
    kept = round(steps * denoise)
    assert part == (whole[-(kept + 1) :] if kept else [])


def test_twice_the_steps_are_the_same_with_geometric_means_between() -> None:
    table = align_your_steps("SD1", 10).tolist()
    double = align_your_steps("SD1", 20).tolist()
    assert double[:-2:2] == pytest.approx(table[:-1])
    assert double[1:-2:2] == pytest.approx([math.sqrt(a * b) for a, b in pairwise(table[:-1])])


def row(*values: float) -> Sigmas:
    return Sigmas(torch.tensor(values, dtype=torch.float64))


@pytest.mark.parametrize(
    ("steps", "start", "end", "spacing", "expected"),
    [
        (2, -1.0, 3.0, "linear", [8, 6, 4, 2, 0]),
        (2, -1.0, 0.0, "linear", [8, 6, 4, 2, 0]),
        (1, -1.0, 0.0, "linear", [8, 4, 0]),
        (4, 5.0, 0.0, "linear", [8, 4, 3, 2, 1, 0]),
        (2, -1.0, 5.0, "cosine", [8, 8 - 4 * math.sqrt(0.5), 4, 0]),
        (2, -1.0, 5.0, "sine", [8, 8 - 4 * (1 - math.sqrt(0.5)), 4, 0]),
        (9, -1.0, 12.0, "linear", [8, 4, 0]),
    ],
)
def test_steps_are_cut_within_bounds(steps: int, start: float, end: float, spacing: str, expected: list[float]) -> None:
    assert extend_sigmas(row(8, 4, 0), steps, start, end, spacing=spacing).tolist() == pytest.approx(expected)


@given(st.integers(1, 9), st.sampled_from(["linear", "cosine", "sine"]))
def test_cut_steps_still_fall(steps: int, spacing: str) -> None:
    sigmas = extend_sigmas(row(14, 3, 1, 0), steps, -1.0, 0.0, spacing=spacing).tolist()
    assert len(sigmas) == 3 * steps + 1
    assert all(a > b for a, b in pairwise(sigmas))


@pytest.mark.parametrize("text", ["3, 2.5,1e-1, 0", "[3; 2.5 .1 0.]", " 3\n2.5\n+0.1\n0 "])
def test_written_sigmas_are_read(text: str) -> None:
    assert manual_sigmas(text).tolist() == pytest.approx([3, 2.5, 0.1, 0])


def test_no_text_is_no_sigmas() -> None:
    assert manual_sigmas("  ").tolist() == []


@pytest.mark.parametrize(("text", "word"), [("1, two, 0", "'two'"), ("1,0.5.5", "'0.5.5'")])
def test_words_that_are_no_numbers_are_named(text: str, word: str) -> None:
    with pytest.raises(SigmaTextError, match=f"input sigmas: this is no number: got {word}"):
        manual_sigmas(text)


@pytest.mark.parametrize("text", ["1 nan", "inf 1", "1 2 1", "-1 -2", "1 0 -0.5"])
def test_written_sigmas_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(SamplingError, match="input sigmas: these sigmas cannot be sampled"):
        manual_sigmas(text)


def test_sigmas_that_make_no_sense_are_not_extended() -> None:
    with pytest.raises(SamplingError, match="up and down"):
        extend_sigmas(row(1, 2, 1), 2, spacing="linear")


def test_noise_added_before_sampling_is_that_of_sampling(demo: tuple[Denoiser, Conditioning]) -> None:
    model, prompt = demo
    _, sigmas = split_sigmas(basic_schedule(model, "karras", 6), 2)  # below the top, where no variance is added
    guider, sampler = basic_guider(model, prompt), select_sampler("euler")
    latent = Latent(torch.randn(2, 4, 8, 8), downscale=model.latents.downscale, batch_index=(3, 1))
    whole, _ = drive(sampler_custom_advanced(Noise(7), guider, sampler, sigmas, latent))  # type: ignore[arg-type]
    noisy = add_noise(model, Noise(7), sigmas, latent)
    again, _ = drive(sampler_custom_advanced(Noise(0, add=False), guider, sampler, sigmas, noisy))  # type: ignore[arg-type]
    assert torch.allclose(whole.samples, again.samples, atol=1e-4)


@pytest.mark.parametrize(("sigmas", "spread"), [((4, 1), 3), ((4,), 4), ((), 0)])
def test_added_noise_spans_the_sigmas(
    demo: tuple[Denoiser, Conditioning], sigmas: tuple[float, ...], spread: float
) -> None:
    model, _ = demo
    latent = Latent(torch.ones(1, 4, 8, 8))
    noise = (add_noise(model, Noise(5), row(*sigmas), latent).samples - 1) * model.latents.scale_factor
    assert torch.allclose(noise, initial_noise((1, 4, 8, 8), 5) * spread, atol=1e-4)
    assert torch.equal(add_noise(model, Noise(5, add=False), row(*sigmas), latent).samples, latent.samples)


def test_lighter_cells_are_repainted_from_earlier_on() -> None:
    mask = torch.tensor([0.0, 0.25, 0.75, 1.0]).view(1, 1, 1, 4)
    at = mask_by_sigma(mask, [LEVELS.sigma_max, 1.0, 0.0], LEVELS, 1.0)
    assert at(LEVELS.sigma_max).flatten().tolist() == [0, 0, 0, 1]
    assert at(LEVELS.sigma(500)).flatten().tolist() == [0, 0, 1, 1]
    assert at(LEVELS.sigma_min).flatten().tolist() == [0, 1, 1, 1]


def test_at_strength_zero_the_mask_is_as_it_was() -> None:
    mask = torch.rand(1, 1, 4, 4)
    assert torch.equal(mask_by_sigma(mask, [10.0, 0.0], LEVELS, 0.0)(3.0), mask)


def test_a_mask_of_black_and_white_repaints_as_without(demo: tuple[Denoiser, Conditioning]) -> None:
    model, prompt = demo
    mask = (torch.rand(1, 8, 8) > 0.5).float()
    latent = Latent(torch.randn(1, 4, 8, 8), noise_mask=mask, downscale=model.latents.downscale)
    sigmas = basic_schedule(model, "karras", 4)
    results = [
        drive(sampler_custom_advanced(Noise(7), basic_guider(net, prompt), select_sampler("euler"), sigmas, latent))[0]  # type: ignore[arg-type]
        for net in (model, differential_diffusion(model))
    ]
    assert torch.allclose(results[0].samples, results[1].samples, atol=1e-5)
    assert torch.allclose((results[1].samples - latent.samples) * (1 - mask), torch.zeros(1), atol=1e-4)
