"""Heun++: Heun's method with slopes from up to three levels, weighted by their sigmas."""

from __future__ import annotations

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler

LEVELS = 3


def heunpp2(x: Tensor, sigmas: list[float]) -> Sampler:
    """The diff-sampler toolbox's `heunpp2`. Up to three evaluations a step, one in the last; deterministic."""
    for step, sigma in enumerate(sigmas[:-1]):
        ahead = [level for level in sigmas[step + 1 : step + LEVELS] if level > 0]
        denoised = yield Evaluate(x, sigma, step)
        slopes = [(x - denoised) / sigma]
        guess, last = x, sigma
        for level in ahead:
            guess = guess + slopes[-1] * (level - last)
            denoised = yield Evaluate(guess, level, step)
            slopes.append((guess - denoised) / level)
            last = level
        weights = [level / (sigmas[0] * (len(ahead) + 1)) for level in ahead]
        slope = slopes[0] * (1 - sum(weights))
        for other, weight in zip(slopes[1:], weights, strict=True):
            slope = slope + other * weight
        x = x + slope * (sigmas[step + 1] - sigma)
    return x
