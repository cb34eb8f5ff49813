"""Models taken to predict something else: pictures come out right, and the model that was given stays as it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.parameterisation import scaled_linear, zero_terminal
from engine.diffusion.predictions import EPSILON, FLOW, VELOCITY
from engine.diffusion.sampling import drive
from engine.foundation.bounds import BoundsError
from engine.tensors.values import Latent
from nodes.model_sampling import (
    CONTINUOUS,
    DISCRETE,
    PLAYGROUND_LATENTS,
    model_sampling_discrete,
    model_sampling_edm,
    model_sampling_flux,
    model_sampling_sd3,
    model_sampling_v,
)
from nodes.sampling import ksampler, ksampler_advanced
from tests.unit.diffusion.nets import Formula, formula, noise, prompt

TARGET = noise(1, 4, 6, 6, seed=3) * 0.5
BLANK = Latent(torch.zeros(1, 4, 6, 6))


def told(model: Denoiser) -> list[float]:
    with model.net.lease() as net:
        assert isinstance(net, Formula)
        return net.times


def sampled(model: Denoiser, latent: Latent = BLANK, denoise: float = 1.0, scheduler: str = "normal") -> Tensor:
    options = {"sampler_name": "euler", "scheduler": scheduler, "positive": prompt(0), "negative": prompt(1)}
    return drive(ksampler(model, 1, 6, 1.0, latent_image=latent, denoise=denoise, **options)).samples  # type: ignore[arg-type]


def knows_target_by_flow(scale: float) -> Denoiser:
    """A flow net of data that is a single picture: noise minus picture, where noise is what is left of the input."""
    return formula(lambda x, time: (x - TARGET) / (time / scale))


@pytest.mark.parametrize(("change", "scale"), [(model_sampling_sd3, 1000.0), (model_sampling_flux, 1.0)])
def test_flow_models_reach_their_picture(change: object, scale: float) -> None:
    model = change(knows_target_by_flow(scale))  # type: ignore[operator]
    assert torch.allclose(sampled(model), TARGET, atol=1e-4)
    assert told(model)[0] == scale
    assert told(model) == sorted(told(model), reverse=True)


def test_a_flow_that_stops_half_way_and_goes_on_ends_at_the_same_picture() -> None:
    model = model_sampling_sd3(formula(lambda x, time: torch.tanh(x) * 0.3 - TARGET))
    options = {"sampler_name": "euler", "scheduler": "simple", "positive": prompt(0), "negative": prompt(1)}
    whole = ksampler_advanced(
        model,
        "enable",
        1,
        6,
        1.0,
        latent_image=BLANK,
        return_with_leftover_noise="disable",
        **options,  # type: ignore[arg-type]
    )
    first = ksampler_advanced(
        model,
        "enable",
        1,
        6,
        1.0,
        latent_image=BLANK,
        end_at_step=3,
        return_with_leftover_noise="enable",
        **options,  # type: ignore[arg-type]
    )
    second = ksampler_advanced(
        model,
        "disable",
        1,
        6,
        1.0,
        latent_image=drive(first),
        start_at_step=3,
        return_with_leftover_noise="disable",
        **options,  # type: ignore[arg-type]
    )
    assert torch.allclose(drive(second).samples, drive(whole).samples, atol=1e-5)


def test_repainting_with_a_flow_model_keeps_what_is_not_masked() -> None:
    kept, mask = noise(1, 4, 6, 6, seed=8), torch.zeros(1, 6, 6)
    mask[:, :, 3:] = 1
    out = sampled(model_sampling_sd3(knows_target_by_flow(1000.0)), Latent(kept, noise_mask=mask), 0.5)
    assert torch.allclose(out[..., :3], kept[..., :3], atol=1e-5)
    assert torch.allclose(out[..., 3:], TARGET[..., 3:], atol=1e-4)


@pytest.mark.parametrize("zsnr", [False, True])
@pytest.mark.parametrize("sampling", ["x0", "img_to_img"])
def test_models_that_predict_the_picture_give_it(sampling: str, zsnr: bool) -> None:
    model = model_sampling_discrete(formula(lambda x, _: TARGET.expand_as(x)), sampling, zsnr)
    assert torch.allclose(sampled(model), TARGET, atol=1e-4)
    assert told(model)[0] == 999


def test_an_edm_model_reaches_its_picture() -> None:
    def answer(x: Tensor, time: float) -> Tensor:
        sigma = math.exp(4 * time)
        total = math.hypot(sigma, 0.5)
        return (TARGET - x * total * (0.5 / total) ** 2) * total / (sigma * 0.5)

    model = model_sampling_edm(formula(answer), "edm", 80.0, 0.002)
    assert torch.allclose(sampled(model, scheduler="karras"), TARGET, atol=1e-3)


def test_playground_latents_are_brought_to_mean_zero_and_deviation_one() -> None:
    latents = PLAYGROUND_LATENTS
    plain = torch.tensor(latents.mean).view(1, 4, 1, 1) + torch.tensor(latents.deviation).view(1, 4, 1, 1) * TARGET
    assert torch.allclose(latents.scaled(plain), TARGET * 0.5, atol=1e-5)
    assert torch.allclose(latents.unscaled(latents.scaled(plain)), plain, atol=1e-4)
    model = model_sampling_edm(formula(lambda x, _: x), "edm_playground_v2.5")
    assert model.latents.mean == latents.mean
    assert model_sampling_edm(formula(lambda x, _: x), "edm").latents == LatentFormat(scale_factor=1.0)


def test_a_changed_model_shares_the_net_and_leaves_the_given_one_as_it_was() -> None:
    model = formula(lambda x, _: x)
    for changed in (model_sampling_discrete(model, "v_prediction", True), model_sampling_v(model, "v_prediction")):
        assert changed.net is model.net
        assert changed.prediction == VELOCITY
    assert (model.prediction, model.levels) == (EPSILON, scaled_linear())


def test_changing_twice_starts_from_the_levels_of_the_checkpoint() -> None:
    model = formula(lambda x, _: x)
    twice = model_sampling_discrete(model_sampling_sd3(model_sampling_discrete(model, "lcm", True)), "eps", True)
    assert twice.levels == zero_terminal(scaled_linear())
    assert model_sampling_sd3(twice).prediction == FLOW


@pytest.mark.parametrize("sampling", DISCRETE)
@pytest.mark.parametrize("zsnr", [False, True])
def test_every_discrete_kind_samples_to_finite_latents(sampling: str, zsnr: bool) -> None:
    assert sampled(model_sampling_discrete(formula(lambda x, _: x * 0.5), sampling, zsnr)).isfinite().all()


@pytest.mark.parametrize("sampling", CONTINUOUS)
def test_every_continuous_kind_samples_to_finite_latents(sampling: str) -> None:
    assert sampled(model_sampling_edm(formula(lambda x, _: x * 0.5), sampling)).isfinite().all()


def test_a_size_that_makes_the_shift_overflow_is_refused() -> None:
    with pytest.raises(BoundsError, match="max_shift"):
        model_sampling_flux(formula(lambda x, _: x), 100.0, 0.0, 16384, 16384)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0, 0.0])
def test_values_that_links_bring_are_checked(wrong: float) -> None:
    model = formula(lambda x, _: x)
    with pytest.raises(BoundsError, match="input shift"):
        model_sampling_sd3(model, wrong)
    with pytest.raises(BoundsError, match="sigma_m"):
        model_sampling_edm(model, "eps", wrong)
