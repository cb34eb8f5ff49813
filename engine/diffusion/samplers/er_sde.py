"""ER-SDE (Cui et al. 2023, 2309.06169): solvers of reverse equations with any amount of noise.

The function `scale` of sigma says how much: sigma itself is none, sigma^2 is the reverse equation of the forward one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler, noised
from engine.diffusion.samplers.interpolation import PLACES, SHARES
from engine.tensors.noise import NoiseSource

Numbers = NDArray[np.floating[Any]]


def paper_scale(sigma: Numbers) -> Numbers:
    """The paper's choice (its "SDE 5"): sigma (exp(sigma^0.3) + 10)."""
    result: Numbers = sigma * (np.exp(sigma**0.3) + 10)
    return result


def power_scale(power: float) -> Callable[[Numbers], Numbers]:
    """Sigma to a power: 1 leaves the probability flow, 2 is the reverse-time equation."""
    return lambda sigma: sigma**power


def er_sde(
    x: Tensor,
    sigmas: list[float],
    noise: NoiseSource,
    *,
    scale: Callable[[Numbers], Numbers] = paper_scale,
    stages: int = 3,
    s_noise: float = 1.0,
) -> Sampler:
    """VE ER-SDE-Solver-3 (algorithm 3), of lower order in the first steps. One evaluation a step; stochastic."""
    last: Tensor | None = None
    slope: Tensor | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        end = float(scale(np.asarray(sigma_next)))
        share = end / float(scale(np.asarray(sigma)))
        moved = denoised + share * (x - denoised)
        if stages > 1 and last is not None:
            first, second = _integrals(sigma, sigma_next, scale)
            last_slope, slope = slope, (denoised - last) / (sigma - sigmas[step - 1])
            moved = moved + (sigma_next - sigma + first * end) * slope
            if stages > 2 and last_slope is not None:
                curve = (slope - last_slope) / ((sigma - sigmas[step - 2]) / 2)
                moved = moved + ((sigma_next - sigma) ** 2 / 2 + second * end) * curve
        variance = sigma_next**2 - (sigma * share) ** 2
        x = noised(moved, s_noise * math.sqrt(max(0.0, variance)), noise, sigma, sigma_next)
        last = denoised
    return x


def _integrals(sigma: float, sigma_next: float, scale: Callable[[Numbers], Numbers]) -> tuple[float, float]:
    """Of 1 / scale and of (s - sigma) / scale over s from `sigma_next` to `sigma` (equation 17).

    Summed evenly in log s, where scales are smooth however wide the step is.
    """
    half = math.log(sigma / sigma_next) / 2
    points = sigma_next * np.exp(half * (PLACES + 1))
    measure = half * SHARES * points / scale(points)
    return float(measure.sum()), float((measure * (points - sigma)).sum())
