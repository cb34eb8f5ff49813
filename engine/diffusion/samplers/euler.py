"""Euler's method on the probability flow, deterministic and ancestral, and DDIM, which is the same step."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.diffusion.samplers.paths import ADDED, Added
from engine.tensors.noise import NoiseSource


def euler(x: Tensor, sigmas: list[float]) -> Sampler:
    """Karras et al. 2022, algorithm 2 without churn, first order. One evaluation a step; deterministic.

    The slope (x - denoised) / sigma is the predicted noise, so this is also DDIM with eta 0 (Song et al. 2021, eq. 12).
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        x = denoised + (x - denoised) * (sigma_next / sigma)
    return x


def euler_ancestral(
    x: Tensor, sigmas: list[float], noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0, path: Added = ADDED
) -> Sampler:
    """An Euler step to below the next level, then fresh noise up to it (k-diffusion). One evaluation; stochastic."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        split = path.split(sigma, sigma_next, eta)
        x = denoised + (x - denoised) * (split.down / sigma)
        x = split.refreshed(x, s_noise, noise, sigma, sigma_next)
    return x
