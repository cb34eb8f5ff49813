"""DPM-Solver++ multistep samplers (Lu et al. 2022b), in the variable lambda = -log sigma.

Each keeps the last denoised estimate and extrapolates, so the second order costs one evaluation a step.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.tensors.noise import NoiseSource


def dpmpp_2m(x: Tensor, sigmas: list[float]) -> Sampler:
    """DPM-Solver++(2M), algorithm 2. Second order, one evaluation a step, deterministic."""
    previous: tuple[Tensor, float] | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        width = math.log(sigma / sigma_next)
        extrapolated = denoised
        if previous is not None:
            last, last_width = previous
            extrapolated = denoised + (denoised - last) * (width / (2 * last_width))
        x = (sigma_next / sigma) * x - math.expm1(-width) * extrapolated
        previous = (denoised, width)
    return x


def dpmpp_2m_sde(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """SDE-DPM-Solver++(2M), midpoint form (DPM-Solver++, section 5.2). One evaluation a step; stochastic."""
    previous: tuple[Tensor, float] | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        width = math.log(sigma / sigma_next)
        change = -math.expm1(-2 * width)
        x_next = (sigma_next / sigma) * math.exp(-width) * x + change * denoised
        if previous is not None:
            last, last_width = previous
            x_next = x_next + 0.5 * change * (width / last_width) * (denoised - last)
        x = x_next + sigma_next * math.sqrt(change) * noise(sigma, sigma_next)
        previous = (denoised, width)
    return x
