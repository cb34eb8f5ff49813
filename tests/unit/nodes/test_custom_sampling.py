"""Sampling from parts equals sampling as a whole, and sigmas are cut, turned and checked."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion import guidance, sampling, schedules
from engine.diffusion.denoiser import Answer, Denoiser, denoiser_of
from engine.diffusion.guidance import ClassifierFreeGuidance, DualGuidance
from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import SamplingError, Steps, checked_sigmas, drive
from engine.diffusion.schedules import SCHEDULES
from engine.foundation.bounds import BoundsError
from engine.models.checkpoint import Checkpoint, load_checkpoint
from engine.tensors.values import Conditioning, Latent, Prompt, Sigmas
from nodes.custom_sampling import (
    Noise,
    basic_guider,
    basic_schedule,
    beta_schedule,
    cfg_guider,
    exponential_schedule,
    flip_sigmas,
    karras_schedule,
    laplace_schedule,
    polyexponential_schedule,
    sampler_custom,
    sampler_custom_advanced,
    sd_turbo_schedule,
    select_sampler,
    set_first_sigma,
    sigma_of_percent,
    split_sigmas,
    split_sigmas_by_share,
    vp_schedule,
)
from nodes.sampling import ksampler
from tests.unit.diffusion.toys import finish, gaussian, start

DEMO = Path(__file__).parents[3] / "models" / "checkpoints" / "easel-demo.safetensors"
EMPTY = Latent(torch.zeros(1, 4, 8, 8), empty=True)
LEVELS = scaled_linear()


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(DEMO, torch.device("cpu"))


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Denoiser:
    return denoiser_of(checkpoint)


@pytest.fixture(scope="module")
def prompts(checkpoint: Checkpoint) -> tuple[Conditioning, Conditioning]:
    assert checkpoint.text_encoder is not None
    return checkpoint.text_encoder.encode("a large red circle"), checkpoint.text_encoder.encode("")


Pair = tuple[Conditioning, Conditioning]


def whole(model: Denoiser, prompts: Pair, sampler: str = "dpmpp_2m") -> Tensor:
    sampled = ksampler(
        *(model, 7, 6, 4.0),
        sampler_name=sampler,
        scheduler="karras",
        positive=prompts[0],
        negative=prompts[1],
        latent_image=EMPTY,
    )
    return drive(sampled).samples  # type: ignore[arg-type]


def test_sampling_from_parts_equals_the_whole(model: Denoiser, prompts: Pair) -> None:
    sigmas = basic_schedule(model, "karras", 6)
    sampler = select_sampler("dpmpp_2m")
    options = {"positive": prompts[0], "negative": prompts[1], "sampler": sampler, "sigmas": sigmas}
    custom, denoised = drive(sampler_custom(model, True, 7, 4.0, latent_image=EMPTY, **options))  # type: ignore[arg-type]
    guider = cfg_guider(model, *prompts, 4.0)
    advanced, _ = drive(sampler_custom_advanced(Noise(7), guider, sampler, sigmas, EMPTY))  # type: ignore[arg-type]
    assert torch.allclose(custom.samples, whole(model, prompts), atol=1e-5)
    assert torch.equal(custom.samples, advanced.samples)
    assert torch.equal(denoised.samples, custom.samples)


def test_a_schedule_in_two_parts_equals_it_in_one(model: Denoiser, prompts: Pair) -> None:
    high, low = split_sigmas(basic_schedule(model, "karras", 6), 3)
    guider, sampler = cfg_guider(model, *prompts, 4.0), select_sampler("euler")
    first, _ = drive(sampler_custom_advanced(Noise(7), guider, sampler, high, EMPTY))  # type: ignore[arg-type]
    again = sampler_custom_advanced(Noise(0, add=False), guider, sampler, low, first)
    second, _ = drive(again)  # type: ignore[arg-type]
    assert torch.allclose(second.samples, whole(model, prompts, "euler"), atol=1e-4)


def test_a_flipped_schedule_turns_a_picture_into_noise_that_gives_it_back(model: Denoiser, prompts: Pair) -> None:
    guider, sampler = basic_guider(model, prompts[0]), select_sampler("heun")
    down = basic_schedule(model, "karras", 40)
    picture = Latent(whole(model, prompts), downscale=4)
    none = Noise(0, add=False)
    noise, _ = drive(sampler_custom_advanced(none, guider, sampler, flip_sigmas(down), picture))  # type: ignore[arg-type]
    back, _ = drive(sampler_custom_advanced(none, guider, sampler, down, noise))  # type: ignore[arg-type]
    assert float(noise.samples.std()) * 0.18215 == pytest.approx(14.6, rel=0.1)
    assert float((back.samples - picture.samples).abs().mean() / picture.samples.std()) < 0.1


def test_sigmas_are_split_by_step_and_by_share() -> None:
    sigmas = Sigmas(torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0]))
    assert [part.tolist() for part in split_sigmas(sigmas, 1)] == [[8, 4], [4, 2, 1, 0]]
    assert [part.tolist() for part in split_sigmas_by_share(sigmas, 0.5)] == [[8, 4, 2], [2, 1, 0]]
    assert [part.tolist() for part in split_sigmas_by_share(sigmas, 1.0)] == [[8], [8, 4, 2, 1, 0]]


def test_sigmas_are_flipped_without_a_zero_at_their_start() -> None:
    assert flip_sigmas(Sigmas(torch.tensor([4.0, 1.0, 0.0]))).tolist() == pytest.approx([1e-4, 1.0, 4.0])


def test_the_first_sigma_is_replaced() -> None:
    assert set_first_sigma(Sigmas(torch.tensor([4.0, 1.0])), 9.0).tolist() == [9.0, 1.0]


def test_shares_of_the_sampling_are_sigmas(model: Denoiser) -> None:
    assert sigma_of_percent(model, 0.0) > 1e8
    assert sigma_of_percent(model, 0.0, True) == LEVELS.sigma_max
    assert sigma_of_percent(model, 0.5) == pytest.approx(LEVELS.sigma(499.5))
    assert sigma_of_percent(model, 1.0) == 0.0


def test_a_latent_stays_as_it_is_where_there_is_nothing_to_do(model: Denoiser, prompts: Pair) -> None:
    latent = Latent(torch.ones(1, 4, 4, 4), downscale=4)
    guider = basic_guider(model, prompts[0])
    done, _ = drive(sampling.sample_custom(guider, SAMPLERS["euler"], [], latent, seed=0))
    assert torch.equal(done.samples, latent.samples)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, math.nan], "no number"),
        ([math.inf, 1.0], "no number"),
        ([1.0, -1.0], "negative"),
        ([1.0, 2.0, 1.0], "up and down"),
        ([1.0, 1.0, 0.0], "up and down"),
        ([0.0, 1.0, 2.0], "zero before the end"),
    ],
)
def test_sigmas_that_make_no_sense_are_refused(values: list[float], words: str) -> None:
    with pytest.raises(SamplingError, match=words):
        checked_sigmas(torch.tensor(values))


@pytest.mark.parametrize(("nested", "expected"), [(False, 1 + 4 * (3 - 1) + 2 * (5 - 3)), (True, 1 + 4 * (7 - 1))])
def test_the_two_forms_of_dual_guidance(
    monkeypatch: pytest.MonkeyPatch, model: Denoiser, nested: bool, expected: float
) -> None:
    def says(number: float) -> Conditioning:
        return Conditioning((Prompt(torch.full((1, 1, 1), number)),))

    monkeypatch.setattr(guidance, "answers", lambda *given: [Answer(side.prompts[0].tokens) for side in given[3]])
    guider = DualGuidance(model, says(5.0), says(3.0), says(1.0), 2.0, 4.0, nested)
    assert float(guider.denoise(torch.zeros(1), 1.0)) == expected


def test_schedules_between_bounds_end_there_and_in_zero() -> None:
    for sigmas in (
        schedules.karras_between(10.0, 0.1, 7, 5.0),
        schedules.polyexponential_between(10.0, 0.1, 7, 2.0),
        schedules.laplace(10.0, 0.1, 7),
    ):
        assert sigmas[0] == pytest.approx(10.0)
        assert sigmas[-2:] == pytest.approx([0.1, 0.0])
        assert all(a >= b for a, b in pairwise(sigmas))


def test_the_variance_preserving_schedule_follows_its_formula() -> None:
    sigmas = schedules.vp(3)
    middle = (1 + 1e-3) / 2
    assert sigmas[1] == pytest.approx(math.sqrt(math.exp(19.9 / 2 * middle**2 + 0.1 * middle) - 1))
    assert (len(sigmas), sigmas[-1]) == (4, 0.0)


def test_turbo_levels_are_a_tenth_of_the_trained_ones_apart() -> None:
    assert schedules.sd_turbo(LEVELS, 2) == [LEVELS.sigmas[999], LEVELS.sigmas[899], 0.0]
    assert schedules.sd_turbo(LEVELS, 1, denoise=0.5) == [LEVELS.sigmas[499], 0.0]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("denoise", [0.01, 1.0])
def test_more_steps_than_trained_levels_still_fall(model: Denoiser, name: str, denoise: float) -> None:
    sigmas = basic_schedule(model, name, 1300, denoise)
    assert checked_sigmas(sigmas)[-1] == 0.0
    of_levels = {"ddim_uniform", "beta"}  # these never have more than the levels, all of which are then kept
    assert (sigmas[0] < 1) == (denoise < 1 and name not in of_levels)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "dpm_adaptive"])  # it chooses its own levels
def test_every_sampler_takes_more_steps_than_trained_levels(name: str) -> None:
    sigmas = Steps(1300, name, "simple", denoise=0.9).sigmas(LEVELS)
    x = torch.linspace(-3, 3, 4, dtype=torch.float64)
    assert torch.isfinite(finish(start(name, x, sigmas), gaussian)).all()


@pytest.mark.parametrize("make", [karras_schedule, exponential_schedule, polyexponential_schedule, laplace_schedule])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0, 10.0, 0.1), "input steps"),
        ((10_001, 10.0, 0.1), "input steps"),
        ((4, 10.0, 0.0), "input sigma_min"),
        ((4, 0.1, 10.0), "input sigma_max"),
        ((4, math.nan, 0.1), "input sigma_max"),
        ((4, 10.0, math.inf), "input sigma_min"),
    ],
)
def test_bounds_of_a_schedule_that_make_no_sense_are_named(
    make: Any, given: tuple[int, float, float], words: str
) -> None:
    with pytest.raises(BoundsError, match=words):
        make(*given)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: karras_schedule(4, rho=0.0), "input rho"),
        (lambda _: polyexponential_schedule(4, rho=0.0), "input rho"),
        (lambda _: vp_schedule(4, beta_d=5000.0), "input beta_d"),
        (lambda _: vp_schedule(4, beta_min=5000.0), "input beta_min"),
        (lambda model: beta_schedule(model, 4, alpha=0.0), "input alpha"),
        (lambda model: beta_schedule(model, 4, beta=0.0), "input beta"),
        (lambda model: sd_turbo_schedule(model, 0), "input steps"),
    ],
)
def test_shapes_of_a_schedule_that_make_no_sense_are_named(model: Denoiser, make: Any, words: str) -> None:
    with pytest.raises(BoundsError, match=words):
        make(model)


def test_a_laplace_schedule_counts_levels_at_its_bounds_once() -> None:
    assert checked_sigmas(laplace_schedule(1000))[0] == pytest.approx(14.614642)


def test_a_guider_without_a_negative_is_scale_one(model: Denoiser, prompts: Pair) -> None:
    guider = basic_guider(model, prompts[0])
    assert isinstance(guider, ClassifierFreeGuidance)
    assert guider.scale == 1.0
    assert Steps(3).sigmas(LEVELS)[-1] == 0.0
