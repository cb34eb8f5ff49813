"""Linear multistep samplers: they extrapolate the slope (x - denoised) / sigma from the steps before.

One evaluation a step, deterministic. All but PLMS end with the denoised estimate itself.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from torch import Tensor

from engine.diffusion.samplers import interpolation
from engine.diffusion.samplers.evaluate import Evaluate, Sampler

MAX_ORDER = 4
ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
GRADIENT_GAMMA = 2.0


def lms(x: Tensor, sigmas: list[float], *, order: int = MAX_ORDER) -> Sampler:
    """Adams-Bashforth of `order` on uneven steps: each weight is the integral of a Lagrange polynomial in sigma."""

    def weights(step: int) -> list[float]:
        nodes = sigmas[max(0, step + 1 - order) : step + 1][::-1]
        return interpolation.weights(nodes, sigmas[step], sigmas[step + 1], np.ones_like)

    return _multistep(x, sigmas, weights, keep=order)


def ipndm(x: Tensor, sigmas: list[float]) -> Sampler:
    """iPNDM (Zhang and Chen 2022, section 3.3): Adams-Bashforth of order four with the weights of even steps."""

    def weights(step: int) -> list[float]:
        width = sigmas[step + 1] - sigmas[step]
        return [width * weight for weight in ADAMS_BASHFORTH[min(step, MAX_ORDER - 1)]]

    return _multistep(x, sigmas, weights)


def ipndm_v(x: Tensor, sigmas: list[float]) -> Sampler:
    """iPNDM with the weights of uneven steps, as the diff-sampler toolbox has them. Second order in all.

    The weights of the second difference, where steps are uneven, and of the third are the toolbox's own and not those
    of Adams and Bashforth; pictures depend on them.
    """
    widths = [after - before for before, after in pairwise(sigmas)]

    def weights(step: int) -> list[float]:
        used = min(step + 1, MAX_ORDER)
        return [widths[step] * weight for weight in _uneven_weights(widths[step + 1 - used : step + 1][::-1])]

    return _multistep(x, sigmas, weights)


def _uneven_weights(widths: list[float]) -> list[float]:
    """Weights of the slopes, newest first, for the step ahead and those behind it, newest first.

    The slope plus its first, second and third backward differences, each scaled to the step before.
    """
    h, *behind = widths
    result = np.zeros(len(widths))
    result[0] = 1
    if len(behind) > 0:
        h1 = behind[0]
        result[:2] += h / (2 * h1) * np.array([1.0, -1.0])
    if len(behind) > 1:
        h2 = behind[1]
        second = np.array([1.0, -1 - h1 / h2, h1 / h2])
        result[:3] += (1 - h * h / (3 * h1 * (h1 + h2))) / 2 * second
    if len(behind) > 2:
        h3 = behind[2]
        older = np.array([0.0, 1.0, -1 - h2 / h3, h2 / h3])
        third = np.append(second, 0.0) - h1 * (h1 + h2) / (h2 * (h2 + h3)) * older
        scale = h * (h + h1) * (h + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
        share = (1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))
        result += scale * share * third
    return [float(weight) for weight in result]


def plms(x: Tensor, sigmas: list[float]) -> Sampler:
    """PLMS of the original Stable Diffusion: pseudo linear multistep (Liu et al. 2022, PNDM, equations 11 and 12).

    The transfer part, DDIM's step, is Euler's in sigma; the first step is an improved Euler step and takes two
    evaluations, the others one. Second order where steps are uneven; deterministic. It extrapolates in the last too.
    """
    slopes: list[Tensor] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        slopes = [(x - denoised) / sigma, *slopes[: MAX_ORDER - 1]]
        width = sigma_next - sigma
        if step == 0 and sigma_next > 0:
            guess = x + width * slopes[0]
            denoised = yield Evaluate(guess, sigma_next, step)
            x = x + (width / 2) * (slopes[0] + (guess - denoised) / sigma_next)
            continue
        for slope, weight in zip(slopes, ADAMS_BASHFORTH[len(slopes) - 1], strict=True):
            x = x + (width * weight) * slope
    return x


def gradient_estimation(x: Tensor, sigmas: list[float]) -> Sampler:
    """Permenter and Yuan 2023, algorithm 2, gamma 2: the slope is corrected by its own change. First order."""

    def weights(step: int) -> list[float]:
        width = sigmas[step + 1] - sigmas[step]
        return [width] if step == 0 else [GRADIENT_GAMMA * width, (1 - GRADIENT_GAMMA) * width]

    return _multistep(x, sigmas, weights)


def _multistep(x: Tensor, sigmas: list[float], weights: Callable[[int], list[float]], keep: int = MAX_ORDER) -> Sampler:
    """Steps by the weighted sum of the newest slopes, newest first."""
    slopes: list[Tensor] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        slopes = [(x - denoised) / sigma, *slopes[: keep - 1]]
        for slope, weight in zip(slopes, weights(step), strict=False):
            x = x + weight * slope
    return x
