"""Noise levels of a trained model: between timesteps and sigmas.

Sigma is the noise-to-signal ratio sqrt((1 - a) / a) of the cumulative signal share a (Karras et al. 2022, table 1, VP).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

import torch


@dataclass(frozen=True, slots=True)
class NoiseLevels:
    """The sigmas a model was trained on, ascending; timestep t is the place in this table."""

    sigmas: tuple[float, ...]

    @property
    def sigma_min(self) -> float:
        """The smallest trained sigma."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> float:
        """The largest trained sigma."""
        return self.sigmas[-1]

    def timestep(self, sigma: float) -> int:
        """The timestep whose sigma is nearest in logarithm: nets were trained on whole timesteps only."""
        place = bisect_left(self.sigmas, sigma)
        near = self.sigmas[max(0, place - 1) : place + 1]
        best = min(near, key=lambda level: abs(math.log(level / sigma)))
        return max(0, place - 1) + near.index(best)

    def sigma(self, timestep: float) -> float:
        """Sigma at a timestep in 0..999, between two of the table by linear interpolation of the logarithm."""
        low = min(int(timestep), len(self.sigmas) - 1)
        high = min(low + 1, len(self.sigmas) - 1)
        share = timestep - low
        return math.exp((1 - share) * math.log(self.sigmas[low]) + share * math.log(self.sigmas[high]))

    def sigma_at(self, share: float) -> float:
        """Sigma after a share of the sampling, 0 (everything is still ahead: no bound) to 1 (done: 0)."""
        if share <= 0:
            return math.inf
        return 0.0 if share >= 1 else self.sigma((1 - share) * (len(self.sigmas) - 1))


@lru_cache
def scaled_linear(start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> NoiseLevels:
    """Stable Diffusion's levels: betas linear in their square root (Rombach et al. 2022, published configuration)."""
    betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    signal = torch.cumprod(1 - betas, 0)
    return NoiseLevels(tuple(((1 - signal) / signal).sqrt().tolist()))
