"""Multistep consistency sampling."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.tensors.noise import NoiseSource
from engine.tensors.resample import resize


def lcm(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """Luo et al. 2023, algorithm 3: jump to the estimate, then noise it again. One evaluation a step; stochastic."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = yield Evaluate(x, sigma, step)
        if sigma_next > 0:
            x = x + sigma_next * noise(sigma, sigma_next)
    return x


def lcm_upscale(
    x: Tensor,
    sigmas: list[float],
    noise: NoiseSource,
    *,
    ratio: float,
    method: str = "bislerp",
    count: int | None = None,
) -> Sampler:
    """`lcm` whose estimates grow to `ratio` times their size, evenly in the first `count` steps (None: about half).

    One evaluation a step; stochastic.
    """
    height, width = x.shape[-2:]
    growths = len(sigmas) // 2 if count is None else min(count, len(sigmas))
    factors = np.linspace(1.0, ratio, max(growths, 1 if count is None else 0) + 1)[1:].tolist()
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = yield Evaluate(x, sigma, step)
        if step < len(factors):
            x = resize(x, round(width * factors[step]), round(height * factors[step]), method)
        if sigma_next > 0:
            x = x + sigma_next * noise(sigma, sigma_next, x.shape)
    return x
