"""Sampling the stages of an Imagen-style cascade: pixels instead of latents, from a small picture to a large one.

Sources: Ho et al. 2021 (cascades, conditioning augmentation), Saharia et al. 2022 (thresholding, words), and the
published configurations of DeepFloyd IF.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.extras import NetExtras
from engine.diffusion.guidance import ClassifierFreeGuidance
from engine.diffusion.parameterisation import NoiseLevels, cosine
from engine.diffusion.respacing import RESPACINGS, SPACINGS, at_timesteps, respaced, spaced
from engine.diffusion.rules import DynamicThreshold
from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.sampling import Evaluation, sample_custom
from engine.foundation.bounds import within
from engine.foundation.errors import EaselError
from engine.models.cascade import LoadedStage
from engine.tensors.values import Conditioning, Pixels

CHANNELS = 3
STEP_CHOICES = (*RESPACINGS, *SPACINGS)
"""Which timesteps to visit: published choices, and ways to space any number of them."""

TO_RGB = torch.cat([torch.eye(CHANNELS), torch.ones(1, CHANNELS)]) / 2  # -1..1 to 0..1


class CascadeError(EaselError):
    """A stage in a place of its cascade where it does not belong."""

    code: ClassVar[str] = "wrong_stage"


@dataclass(frozen=True, slots=True)
class StageSteps:
    """How a stage is sampled.

    `choice` is one of `STEP_CHOICES`; `count` steps are taken where it leaves that open. `denoise` below 1 keeps the
    last part of them, to change a picture. Estimates are cut at their quantile `percentile`, between 1 and `maximum`.
    """

    choice: str = "smart100"
    count: int = 50
    sampler: str = "ddpm"
    denoise: float = 1.0
    percentile: float = 0.95
    maximum: float = 1.5

    def __post_init__(self) -> None:
        within("denoise", self.denoise, 0.0, 1.0)

    def sigmas(self, levels: NoiseLevels) -> list[float]:
        """The sigmas to visit, descending, ending in 0; a single one if there is nothing to do."""
        timesteps = chosen(self.choice, self.count, len(levels.sigmas))
        kept = round(len(timesteps) * self.denoise)
        return at_timesteps(levels, timesteps[len(timesteps) - kept :])


def chosen(choice: str, count: int, trained: int = 1000) -> list[int]:
    """The timesteps of one of `STEP_CHOICES`, descending. Raises `CascadeError` for a choice that there is not."""
    if choice in RESPACINGS:
        return respaced(RESPACINGS[choice], trained)
    if choice not in SPACINGS:
        raise CascadeError(
            "there is no such choice of steps", where="input schedule", expected=", ".join(STEP_CHOICES), got=choice
        )
    return spaced(count, choice, trained)


def stage_denoiser(stage: LoadedStage) -> Denoiser:
    """The denoiser of a stage: cosine levels, pictures in -1..1, and for later stages the small picture."""
    extras = NetExtras("small picture's noise", "small picture") if stage.upscaling else NetExtras()
    latents = LatentFormat(CHANNELS, 1.0, 1, to_rgb=TO_RGB)
    return Denoiser(stage.net, cosine(), latents, extras=extras, learned_variance=stage.learned_variance)


def sample_stage(
    stage: Denoiser,
    positive: Conditioning,
    negative: Conditioning,
    pixels: Pixels,
    *,
    seed: int,
    cfg: float,
    steps: StageSteps,
    small: Pixels | None = None,
    noise_level: float = 0.0,
) -> Generator[Evaluation, Tensor, Pixels]:
    """Sample pictures on the canvas, or from the picture, `pixels`: with `small` a later stage, else the first one.

    `small` is given noise of `noise_level` 0..1, of which the net is told. Where `pixels` have a mask only what it
    covers is painted. Raises `CascadeError` for a net that is none of a cascade, or of another stage.
    """
    check_stage(stage, upscaling=small is not None)
    if small is not None:
        within("noise_level", noise_level, 0.0, 1.0)
        positive, negative = (shown(side, small, noise_level) for side in (positive, negative))
    model = stage.with_rule(DynamicThreshold(steps.percentile, 1.0, steps.maximum))
    guider = ClassifierFreeGuidance(model, positive, negative, cfg)
    sigmas = steps.sigmas(model.levels)
    result, _ = yield from sample_custom(guider, SAMPLERS[steps.sampler], sigmas, pixels.latent, seed=seed)
    return Pixels(result.samples, pixels.noise_mask)


def shown(conditioning: Conditioning, small: Pixels, noise_level: float) -> Conditioning:
    """Each prompt with the small picture that a later stage enlarges."""
    extras = (replace(p.extras, picture=small.samples, noise=noise_level) for p in conditioning.prompts)
    prompts = zip(conditioning.prompts, extras, strict=True)
    return Conditioning(tuple(replace(prompt, extras=own) for prompt, own in prompts))


def check_stage(stage: Denoiser, *, upscaling: bool) -> None:
    """Raise `CascadeError` unless `stage` is one of a cascade: a later one if `upscaling`, else the first."""
    if stage.latents.downscale != 1 or stage.latents.channels != CHANNELS:
        raise CascadeError(
            "this model works on latents",
            where="input stage",
            expected="a stage of a pixel cascade",
            got=f"a model of {stage.latents.channels} channels whose cells are {stage.latents.downscale} pixels wide",
            hint="Load it with CascadeStageLoader.",
        )
    enlarges = stage.extras.channels == "small picture"
    if enlarges != upscaling:
        kinds = {True: "a super-resolution stage (II or III)", False: "a first stage (I)"}
        raise CascadeError(
            "this is another stage of the cascade",
            where="input stage",
            expected=kinds[upscaling],
            got=kinds[enlarges],
            hint=f"Use the node {'CascadeSuperResolve' if enlarges else 'CascadeSample'} for it.",
        )
