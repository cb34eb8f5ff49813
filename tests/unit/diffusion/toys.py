"""Denoisers with known answers, and ways to drive a sampler with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.tensors.noise import NoiseSource

Denoise = Callable[[Tensor, float], Tensor]
SPREAD = 0.7


def gaussian(x: Tensor, sigma: float) -> Tensor:
    """The exact denoiser of data drawn from N(0, SPREAD^2): the posterior mean."""
    return x * SPREAD**2 / (SPREAD**2 + sigma**2)


def gaussian_flow(x: Tensor, start: float, end: float) -> Tensor:
    """Where the probability flow of that data takes `x` from one sigma to another, in closed form."""
    return x * math.sqrt((SPREAD**2 + end**2) / (SPREAD**2 + start**2))


def nonlinear(x: Tensor, sigma: float) -> Tensor:
    """A smooth denoiser without a closed form."""
    return torch.tanh(x / math.sqrt(1 + sigma**2)) * 0.8 + 0.1 * torch.sin(3 * x / (1 + sigma))


def softer(x: Tensor, sigma: float) -> Tensor:
    """Another one, to stand for the unconditional estimate beside it."""
    return torch.tanh(x / math.sqrt(1 + sigma**2)) * 0.5 + 0.05 * torch.cos(2 * x / (1 + sigma))


def answer(request: Evaluate, denoise: Denoise, unconditional: Denoise | None = None) -> Tensor:
    """What a driver sends back; where both estimates are asked for, `unconditional` gives the second."""
    guided = denoise(request.x, request.sigma)
    if not request.both:
        return guided
    return torch.stack([guided, (unconditional or denoise)(request.x, request.sigma)])


def karras(steps: int, low: float = 0.03, high: float = 14.6) -> list[float]:
    """A schedule that ends in zero."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    roots = high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))
    return [*(roots**7).tolist(), 0.0]


def even(steps: int, low: float = 0.03, high: float = 14.6) -> list[float]:
    """Even steps of sigma, the other extreme."""
    return [*torch.linspace(high, low, steps, dtype=torch.float64).tolist(), 0.0]


def exponential(steps: int, low: float = 0.03, high: float = 14.6) -> list[float]:
    """Even steps of its logarithm."""
    return [*(low * (high / low) ** share for share in torch.linspace(1, 0, steps, dtype=torch.float64).tolist()), 0.0]


Schedule = Callable[[int], list[float]]
ANY_SCHEDULE = pytest.mark.parametrize("schedule", [karras, even, exponential])


def seeded(x: Tensor, seed: int = 0) -> NoiseSource:
    """A noise source of its own."""
    generator = torch.Generator().manual_seed(seed)

    def noise(_sigma: float, _sigma_next: float, shape: Sequence[int] | None = None, /) -> Tensor:
        return torch.randn(tuple(shape or x.shape), generator=generator, dtype=x.dtype)

    return noise


def start(name: str, x: Tensor, sigmas: list[float], seed: int = 0) -> Sampler:
    """The sampler `name` with a noise source of its own."""
    return SAMPLERS[name].start(x, sigmas, seeded(x, seed))


def finish(
    sampler: Sampler,
    denoise: Denoise,
    log: list[Tensor] | None = None,
    replay: int = 0,
    unconditional: Denoise | None = None,
) -> Tensor:
    """Drive to the end; `log` collects the answers, the first `replay` of which are taken from it instead."""
    answers = [] if log is None else log
    count = 0
    try:
        request = next(sampler)
        while True:
            if count >= replay:
                answers.append(answer(request, denoise, unconditional))
            request = sampler.send(answers[count])
            count += 1
    except StopIteration as stop:
        result: Tensor = stop.value
        return result


def points(count: int = 64) -> Tensor:
    """Starting points at the top noise level."""
    return torch.randn(count, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 14.6
