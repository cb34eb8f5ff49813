"""Linear multistep samplers: they extrapolate the slope (x - denoised) / sigma from the steps before.

One evaluation a step, deterministic. All end with the denoised estimate itself.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler

MAX_ORDER = 4
ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
GRADIENT_GAMMA = 2.0


def lms(x: Tensor, sigmas: list[float]) -> Sampler:
    """Adams-Bashforth of order four on uneven steps: each weight is the integral of a Lagrange polynomial in sigma."""

    def weights(step: int) -> list[float]:
        order = min(step + 1, MAX_ORDER)
        return [
            _integral([sigmas[step - j] for j in range(order)], j, sigmas[step], sigmas[step + 1]) for j in range(order)
        ]

    return _multistep(x, sigmas, weights)


def ipndm(x: Tensor, sigmas: list[float]) -> Sampler:
    """iPNDM (Zhang and Chen 2022, section 3.3): Adams-Bashforth of order four with the weights of even steps."""

    def weights(step: int) -> list[float]:
        width = sigmas[step + 1] - sigmas[step]
        return [width * weight for weight in ADAMS_BASHFORTH[min(step, MAX_ORDER - 1)]]

    return _multistep(x, sigmas, weights)


def gradient_estimation(x: Tensor, sigmas: list[float]) -> Sampler:
    """Permenter and Yuan 2023, algorithm 2, gamma 2: the slope is corrected by its own change. First order."""

    def weights(step: int) -> list[float]:
        width = sigmas[step + 1] - sigmas[step]
        return [width] if step == 0 else [GRADIENT_GAMMA * width, (1 - GRADIENT_GAMMA) * width]

    return _multistep(x, sigmas, weights)


def _multistep(x: Tensor, sigmas: list[float], weights: Callable[[int], list[float]]) -> Sampler:
    """Steps by the weighted sum of the newest slopes, newest first."""
    slopes: list[Tensor] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        slopes = [(x - denoised) / sigma, *slopes[: MAX_ORDER - 1]]
        for slope, weight in zip(slopes, weights(step), strict=False):
            x = x + weight * slope
    return x


def _integral(nodes: list[float], which: int, start: float, end: float) -> float:
    """The integral from `start` to `end` of the polynomial that is 1 at `nodes[which]` and 0 at the others."""
    others = [node for place, node in enumerate(nodes) if place != which]
    polynomial = np.polynomial.Polynomial.fromroots(others) if others else np.polynomial.Polynomial([1.0])
    scale = float(np.prod([nodes[which] - other for other in others]))
    whole = polynomial.integ()
    return float(whole(end) - whole(start)) / scale
