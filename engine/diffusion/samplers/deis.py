"""DEIS (Zhang and Chen 2022): the predicted noise extrapolated in the time of a variance-preserving process."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.diffusion.samplers.interpolation import Numbers, weights

MAX_ORDER = 3
# The process whose sigma is 0.002 at time 0.001 and 80 at time 1 (Karras et al. 2022), as in the diff-sampler toolbox.
EARLY, LOW, HIGH = 1e-3, math.log1p(0.002**2), math.log1p(80.0**2)
BETA_D = 2 * (LOW / EARLY - HIGH) / (EARLY - 1)
BETA_MIN = HIGH - 0.5 * BETA_D


def deis(x: Tensor, sigmas: list[float]) -> Sampler:
    """tAB-DEIS (equation 15) of order three: polynomials in time, integrated over sigma exactly.

    One evaluation a step; second order in all, as the first step is Euler's; deterministic.
    """
    times = [_time(sigma) for sigma in sigmas]
    slopes: list[Tensor] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        slopes = [(x - denoised) / sigma, *slopes[: MAX_ORDER - 1]]
        nodes = times[step + 1 - len(slopes) : step + 1][::-1]
        for slope, weight in zip(slopes, weights(nodes, times[step], times[step + 1], _speed), strict=True):
            x = x + weight * slope
    return x


def _time(sigma: float) -> float:
    """The time at which the process is at `sigma` (Karras et al. 2022, table 1, VP)."""
    return (math.sqrt(BETA_MIN**2 + 2 * BETA_D * math.log1p(sigma * sigma)) - BETA_MIN) / BETA_D


def _speed(time: Numbers) -> Numbers:
    """The change of sigma with time."""
    squared = np.expm1(0.5 * BETA_D * time**2 + BETA_MIN * time)
    speed: Numbers = (BETA_D * time + BETA_MIN) * (1 + squared) / (2 * np.sqrt(squared))
    return speed
