"""Heun's method and the midpoint method of DPM-Solver-2."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.diffusion.samplers.paths import ADDED, Added
from engine.tensors.noise import NoiseSource


def heun(x: Tensor, sigmas: list[float]) -> Sampler:
    """Karras et al. 2022, algorithm 1: second order, two evaluations a step (one in the last). Deterministic."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        slope = (x - denoised) / sigma
        guess = x + slope * (sigma_next - sigma)
        if sigma_next > 0:
            denoised = yield Evaluate(guess, sigma_next, step)
            slope = (slope + (guess - denoised) / sigma_next) / 2
            guess = x + slope * (sigma_next - sigma)
        x = guess
    return x


def dpm_2(x: Tensor, sigmas: list[float]) -> Sampler:
    """DPM-Solver-2 in its k-diffusion form: a midpoint step in log sigma (Lu et al. 2022, algorithm 1).

    Second order, two evaluations a step (one in the last). Deterministic.
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = yield from _midpoint(x, sigma, sigma_next, step)
    return x


def dpm_2_ancestral(
    x: Tensor, sigmas: list[float], noise: NoiseSource, *, eta: float = 1.0, path: Added = ADDED
) -> Sampler:
    """`dpm_2` to below the next level, then fresh noise up to it. Two evaluations a step; stochastic."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        split = path.split(sigma, sigma_next, eta)
        x = yield from _midpoint(x, sigma, split.down, step)
        x = split.refreshed(x, 1.0, noise, sigma, sigma_next)
    return x


def _midpoint(x: Tensor, sigma: float, target: float, step: int) -> Sampler:
    denoised = yield Evaluate(x, sigma, step)
    slope = (x - denoised) / sigma
    if target > 0:
        middle = (sigma * target) ** 0.5
        guess = x + slope * (middle - sigma)
        denoised = yield Evaluate(guess, middle, step)
        slope = (guess - denoised) / middle
    return x + slope * (target - sigma)
