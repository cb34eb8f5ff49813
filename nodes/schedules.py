"""Sigmas from published tables and methods, from text and from other sigmas; noise added along them; soft masks."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Annotated, ClassVar

import torch

from engine.diffusion import published, sampling, trajectories
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.sampling import checked_sigmas
from engine.diffusion.schedules import extended
from engine.foundation.errors import EaselError
from engine.node import Choice, Fraction, Omittable, Range, Steps, node
from engine.tensors.values import Latent, Sigmas
from nodes.custom_sampling import SCHEDULES, SIGMAS, Noise


class SigmaTextError(EaselError):
    """Sigmas written as text that are none."""

    code: ClassVar[str] = "bad_sigmas"


@node("AlignYourStepsScheduler", category=SCHEDULES)
def align_your_steps(
    model_type: Annotated[str, Choice("SD1", "SDXL", "SVD")], steps: Steps = 10, denoise: Fraction = 1.0
) -> Sigmas:
    """The schedule that was optimised for a family of models (Sabour et al. 2024)."""
    return _sigmas(published.align_your_steps(model_type, steps, denoise))


@node("GITSScheduler", category=SCHEDULES)
def gits_schedule(
    coeff: Annotated[float, Range(0.8, 1.5, step=0.05)] = 1.2,
    steps: Annotated[int, Range(2, 1000)] = 10,
    denoise: Fraction = 1.0,
) -> Sigmas:
    """Few steps where the way from noise to picture bends (Chen et al. 2024); `coeff` above 1 favours low noise."""
    return _sigmas(trajectories.gits(coeff, steps, denoise))


@node("ExtendIntermediateSigmas", category=SIGMAS)
def extend_sigmas(
    sigmas: Sigmas,
    steps: Annotated[int, Range(1, 100)] = 2,
    start_at_sigma: Annotated[float, Range(-1.0, 20_000.0, step=0.01, round=False)] = -1.0,
    end_at_sigma: Annotated[float, Range(0.0, 20_000.0, step=0.01, round=False)] = 12.0,
    *,
    spacing: Annotated[str, Choice("linear", "cosine", "sine")],
) -> Sigmas:
    """Cut each step between two sigmas into several; a start of -1 is no bound."""
    start = math.inf if start_at_sigma < 0 else start_at_sigma
    return _sigmas(extended(checked_sigmas(sigmas), steps, start, end_at_sigma, spacing))


@node("ManualSigmas", category="_for_testing/custom_sampling")
def manual_sigmas(sigmas: str = "1, 0.5") -> Sigmas:
    """Sigmas written out, with commas or spaces between them."""
    return _sigmas(checked_sigmas(torch.tensor([_number(word) for word in re.findall(r"[^\s,;\[\]()]+", sigmas)])))


@node("AddNoise", category="_for_testing/custom_sampling/noise")
def add_noise(model: Denoiser, noise: Noise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """The noise between the first and the last of the sigmas on top of a latent."""
    values = checked_sigmas(sigmas)
    return sampling.add_noise(model, latent_image, values if noise.add else [], noise.seed)


@node("DifferentialDiffusion", category="_for_testing", display_name="Differential Diffusion")
def differential_diffusion(model: Denoiser, strength: Annotated[Fraction, Omittable()] = 1.0) -> Denoiser:
    """Repaint a cell from the step on that the grey of its noise mask names: white from the start, dark at the end."""
    return replace(model, differential=strength)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise SigmaTextError("this is no number", where="input sigmas", got=repr(word)) from error


def _sigmas(values: list[float]) -> Sigmas:
    return Sigmas(torch.tensor(values, dtype=torch.float64))
