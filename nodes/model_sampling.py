"""What a model is taken to predict, and on which noise levels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.parameterisation import (
    AngleClock,
    LogClock,
    RatioClock,
    continuous,
    distilled,
    flow,
    zero_terminal,
)
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
from engine.foundation.bounds import within
from engine.node import Choice, Range, node

CATEGORY = "advanced/model"
FLUX_LEVELS = 10_000
FLUX_TOKENS = (256, 4096)  # of a picture of 256 and of 1024 pixels a side, where the shifts of Flux are given
FLUX_TOKEN_AREA = 16 * 16  # pixels
PLAYGROUND_LATENTS = LatentFormat(  # from the published configuration of Playground v2.5's autoencoder
    scale_factor=0.5, mean=(-1.6574, 1.886, -1.383, 2.5155), deviation=(8.4927, 5.9022, 6.5498, 5.2299)
)
DISCRETE: dict[str, Parameterisation] = {
    "eps": EPSILON,
    "v_prediction": VELOCITY,
    "lcm": Consistency(),
    "x0": PICTURE,
    "img_to_img": ImageToImage(),
}
CONTINUOUS: dict[str, Parameterisation] = {
    "v_prediction": VELOCITY,
    "edm": Preconditioned(),
    "edm_playground_v2.5": Preconditioned(),
    "eps": EPSILON,
    "cosmos_rflow": AddedFlow(),
}

SigmaBound = Annotated[float, Range(0.0, 1000.0, step=0.001, round=False)]
Shift = Annotated[float, Range(0.0, 100.0, step=0.01)]
Side = Annotated[int, Range(16, 16384, step=8)]


@node("ModelSamplingDiscrete", category=CATEGORY)
def model_sampling_discrete(
    model: Denoiser, sampling: Annotated[str, Choice(*DISCRETE)], zsnr: bool = False
) -> Denoiser:
    """Say what the model predicts. `zsnr` rescales its noise levels so that the last one is all noise.

    "lcm" is for latent consistency models and their LoRAs.
    """
    levels = model.trained or model.levels
    if zsnr:
        levels = zero_terminal(levels)
    if sampling == "lcm":
        levels = distilled(levels)
    return model.with_sampling(levels, DISCRETE[sampling])


@node("ModelSamplingContinuousEDM", category=CATEGORY)
def model_sampling_edm(
    model: Denoiser,
    sampling: Annotated[str, Choice(*CONTINUOUS)],
    sigma_max: SigmaBound = 120.0,
    sigma_min: SigmaBound = 0.002,
) -> Denoiser:
    """For models that were trained on every sigma in a range (EDM, Playground v2.5, Cosmos)."""
    clock = RatioClock() if sampling == "cosmos_rflow" else LogClock()
    changed = model.with_sampling(continuous(sigma_min, sigma_max, clock), CONTINUOUS[sampling])
    if sampling != "edm_playground_v2.5":
        return changed
    return replace(changed, latents=replace(PLAYGROUND_LATENTS, downscale=model.latents.downscale))


@node("ModelSamplingContinuousV", category=CATEGORY)
def model_sampling_v(
    model: Denoiser,
    sampling: Annotated[str, Choice("v_prediction")],  # noqa: ARG001 - the only kind there is
    sigma_max: SigmaBound = 500.0,
    sigma_min: SigmaBound = 0.03,
) -> Denoiser:
    """For v-prediction models that were trained on every angle between picture and noise."""
    return model.with_sampling(continuous(sigma_min, sigma_max, AngleClock()), VELOCITY)


@node("ModelSamplingSD3", category=CATEGORY)
def model_sampling_sd3(model: Denoiser, shift: Shift = 3.0) -> Denoiser:
    """Flow matching with times from 0 to 1000; a larger shift spends more steps on strong noise."""
    return model.with_sampling(flow(shift), FLOW)


@node("ModelSamplingFlux", category=CATEGORY)
def model_sampling_flux(
    model: Denoiser, max_shift: Shift = 1.15, base_shift: Shift = 0.5, width: Side = 1024, height: Side = 1024
) -> Denoiser:
    """Flow matching with times from 0 to 1, shifted by the size of the picture.

    The logarithm of the shift grows with the number of tokens, from `base_shift` at 256 x 256 pixels to `max_shift`
    at 1024 x 1024.
    """
    within("max_shift", max_shift, 0.0, 100.0)
    within("base_shift", base_shift, 0.0, 100.0)
    slope = (max_shift - base_shift) / (FLUX_TOKENS[1] - FLUX_TOKENS[0])
    log_shift = base_shift + (width * height / FLUX_TOKEN_AREA - FLUX_TOKENS[0]) * slope
    within("max_shift", log_shift, -100.0, 100.0)
    return model.with_sampling(flow(math.exp(log_shift), scale=1.0, entries=FLUX_LEVELS), FLOW)
