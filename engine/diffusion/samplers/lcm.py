"""Multistep consistency sampling."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.tensors.noise import NoiseSource


def lcm(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """Luo et al. 2023, algorithm 3: jump to the estimate, then noise it again. One evaluation a step; stochastic."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = yield Evaluate(x, sigma, step)
        if sigma_next > 0:
            x = x + sigma_next * noise(sigma, sigma_next)
    return x
