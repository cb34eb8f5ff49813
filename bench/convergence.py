"""Orders of convergence: how the error of every deterministic sampler falls, where the flow is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from engine.diffusion.samplers import SAMPLERS, SamplerSpec

SPREAD = 0.7  # of the data, N(0, SPREAD^2)
HIGH, LOW = 2.0, 0.2  # sigmas between which the flow is followed: at 0 every sampler ends in one Euler step
OWN_LEVELS = {"dpm_fast", "dpm_adaptive"}  # chosen by themselves, so steps are no measure
STEPS = (20, 40, 80, 160)


def measure() -> Iterator[str]:
    """The greatest error over 64 points at some numbers of steps, and the order that the last two give."""
    yield f"convergence: data N(0, {SPREAD}^2), sigma {HIGH} to {LOW}, even in its logarithm, float64"
    yield f"{'steps':34}" + "".join(f"{steps:>10}" for steps in STEPS) + f"{'order':>8}"
    for name, spec in SAMPLERS.items():
        if spec.noise is None and name not in OWN_LEVELS:
            errors = [_error(spec, steps) for steps in STEPS]
            order = math.log2(errors[-2] / errors[-1]) if errors[-1] else math.inf
            yield f"{name:34}" + "".join(f"{error:10.1e}" for error in errors) + f"{order:8.2f}"


def _error(spec: SamplerSpec, steps: int) -> float:
    x = torch.randn(64, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * HIGH
    sampler = spec.start(x, np.geomspace(HIGH, LOW, steps + 1).tolist(), lambda *_: torch.zeros_like(x))
    try:
        request = next(sampler)
        while True:
            denoised = _denoised(request.x, request.sigma)
            request = sampler.send(torch.stack([denoised, denoised]) if request.both else denoised)
    except StopIteration as stop:
        exact = x * math.sqrt((SPREAD**2 + LOW**2) / (SPREAD**2 + HIGH**2))
        return float((stop.value - exact).abs().max())


def _denoised(x: Tensor, sigma: float) -> Tensor:
    """The posterior mean."""
    return x * (SPREAD**2 / (SPREAD**2 + sigma**2))
