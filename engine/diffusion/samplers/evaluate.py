"""What a sampler yields, and what it returns.

A sampler is a generator: it yields an `Evaluate` and is sent back the denoised estimate; its return value is the final
latent. It takes the initial `x` `(B, C, h, w)`, noise of standard deviation `sigmas[0]` included, and the sigmas it is
to visit, descending. Whoever drives it decides how an evaluation is computed.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Evaluate:
    """A request for the denoised estimate of `x` at `sigma`, in step number `step` (from 0)."""

    x: Tensor
    sigma: float
    step: int


Sampler: TypeAlias = Generator[Evaluate, Tensor, Tensor]


def ancestral(sigma: float, sigma_next: float, eta: float = 1.0) -> tuple[float, float]:
    """A step from `sigma` split in a way down and fresh noise, `(sigma_down, sigma_up)`.

    sigma_up^2 + sigma_down^2 = sigma_next^2; `eta` 1 is the posterior variance of DDPM (Ho et al. 2020), 0 no noise.
    """
    up = min(sigma_next, eta * (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5)
    return (sigma_next**2 - up**2) ** 0.5, up
