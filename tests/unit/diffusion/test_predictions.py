"""Parameterisations against their papers and diffusers: a net that answers right gives back the picture."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from diffusers import EDMEulerScheduler, LCMScheduler
from torch import Tensor

from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.predictions import (
    EPSILON,
    FLOW,
    PICTURE,
    VELOCITY,
    AddedFlow,
    Consistency,
    ImageToImage,
    Parameterisation,
    Preconditioned,
)
from engine.foundation.bounds import BoundsError

GENERATOR = torch.Generator().manual_seed(0)
IMAGE = torch.randn(2, 4, 5, 7, generator=GENERATOR, dtype=torch.float64)
NOISE = torch.randn(2, 4, 5, 7, generator=GENERATOR, dtype=torch.float64)
Truth = Callable[[float], Tensor]

RIGHT: list[tuple[Parameterisation, Truth]] = [
    (EPSILON, lambda sigma: NOISE),
    (VELOCITY, lambda sigma: (NOISE - sigma * IMAGE) / math.sqrt(1 + sigma**2)),
    (PICTURE, lambda sigma: IMAGE),
    (ImageToImage(), lambda sigma: IMAGE),
    (Preconditioned(0.5), lambda sigma: (sigma * IMAGE - 0.25 * NOISE) / (0.5 * math.hypot(sigma, 0.5))),
    (FLOW, lambda sigma: NOISE - IMAGE),
    (AddedFlow(), lambda sigma: NOISE - IMAGE),
]


@pytest.mark.parametrize("sigma", [0.03, 0.6, 0.98])
@pytest.mark.parametrize(("prediction", "truth"), RIGHT)
def test_the_right_answer_gives_the_picture(prediction: Parameterisation, truth: Truth, sigma: float) -> None:
    x = prediction.signal(sigma) * IMAGE + prediction.spread(sigma, False) * NOISE
    assert (prediction.denoised(x, truth(sigma), sigma, 0.0) - IMAGE).abs().max() < 1e-10


@pytest.mark.parametrize("prediction", [EPSILON, VELOCITY, PICTURE, Preconditioned(1.0)])
def test_pictures_of_variance_one_look_so_to_the_net(prediction: Parameterisation) -> None:
    for sigma in (0.1, 1.0, 80.0):
        assert math.isclose(float(prediction.entering(torch.ones(()), sigma)) * math.hypot(1, sigma), 1, rel_tol=1e-6)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 3.0, 80.0])
def test_edm_equals_diffusers(sigma: float) -> None:
    oracle, own = EDMEulerScheduler(sigma_data=0.5), Preconditioned(0.5)
    expected = oracle.precondition_outputs(IMAGE, NOISE, torch.tensor(sigma, dtype=torch.float64))
    assert (own.denoised(IMAGE, NOISE, sigma, 0.0) - expected).abs().max() < 1e-10
    entering = oracle.precondition_inputs(IMAGE, torch.tensor(sigma, dtype=torch.float64))
    assert (own.entering(IMAGE, sigma) - entering).abs().max() < 1e-10


@pytest.mark.parametrize("time", [0, 19, 499, 999])
def test_consistency_equals_diffusers(time: int) -> None:
    levels, oracle = scaled_linear(), LCMScheduler(clip_sample=False, original_inference_steps=1000)
    sigma = levels.sigmas[time]
    own_share, estimate_share = oracle.get_scalings_for_boundary_condition_discrete(time)
    scaled = IMAGE / math.sqrt(1 + sigma**2)
    expected = estimate_share * (IMAGE - sigma * NOISE) + own_share * scaled
    assert (Consistency().denoised(IMAGE, NOISE, sigma, time) - expected).abs().max() < 1e-10


def test_both_forms_of_flow_see_and_give_the_same() -> None:
    time, ratio = 0.8, 4.0
    mixed = 0.2 * IMAGE + 0.8 * NOISE
    added = AddedFlow().entering(IMAGE + ratio * NOISE, ratio)
    assert (added - mixed).abs().max() < 1e-10
    other = FLOW.denoised(mixed, NOISE * IMAGE, time, 0.0)
    assert (AddedFlow().denoised(IMAGE + ratio * NOISE, NOISE * IMAGE, ratio, 0.0) - other).abs().max() < 1e-10


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_a_spread_of_pictures_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(BoundsError, match="input sigma_data"):
        Preconditioned(wrong)
