"""Noise levels of a trained model: between timesteps and sigmas.

Sigma is the noise-to-signal ratio sqrt((1 - a) / a) of the cumulative signal share a (Karras et al. 2022, table 1, VP).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from engine.foundation.bounds import BoundsError, within

TABLE = 1000  # entries of the tables that schedules pick from where a net knows every sigma
LEAST_SIGNAL = 4.8973451890853435e-08  # of the last level after rescaling: the community's value, sigma about 4519
LCM_STEPS = 50  # timesteps that a latent consistency model was distilled on (Luo et al. 2023)


class Clock(Protocol):
    """Times of a net that knows every sigma, not only those of a table."""

    def time(self, sigma: float) -> float:
        """What the net is told for sigma."""
        ...

    def sigma(self, time: float) -> float:
        """The sigma that schedules put at a time."""
        ...

    def at(self, share: float, low: float, high: float) -> float:
        """Sigma after a share of the sampling, strictly between 0 and 1, from `high` to `low`."""
        ...


@dataclass(frozen=True, slots=True)
class NoiseLevels:
    """The sigmas a model was trained on, ascending.

    Without a clock the net knows these only, `stride` timesteps apart: place i in the table is timestep
    `(i + 1) * stride - 1`.
    """

    sigmas: tuple[float, ...]
    clock: Clock | None = None
    stride: int = 1

    @property
    def sigma_min(self) -> float:
        """The smallest trained sigma."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> float:
        """The largest trained sigma."""
        return self.sigmas[-1]

    def timestep(self, sigma: float) -> float:
        """What the net is told: by the clock, or the timestep whose sigma is nearest in logarithm."""
        if self.clock is not None:
            return self.clock.time(sigma)
        place = bisect_left(self.sigmas, sigma)
        near = self.sigmas[max(0, place - 1) : place + 1]
        best = min(near, key=lambda level: abs(math.log(level / sigma)))
        return float((max(0, place - 1) + near.index(best) + 1) * self.stride - 1)

    def sigma(self, timestep: float) -> float:
        """Sigma at a timestep, between two of the table by linear interpolation of the logarithm."""
        if self.clock is not None:
            return self.clock.sigma(timestep)
        place = max(0.0, (timestep + 1) / self.stride - 1)
        low = min(int(place), len(self.sigmas) - 1)
        high = min(low + 1, len(self.sigmas) - 1)
        share = place - low
        if share == 0:
            return self.sigmas[low]
        return math.exp((1 - share) * math.log(self.sigmas[low]) + share * math.log(self.sigmas[high]))

    def sigma_at(self, share: float) -> float:
        """Sigma after a share of the sampling, 0 (everything is still ahead: no bound) to 1 (done: 0)."""
        if share <= 0:
            return math.inf
        if share >= 1:
            return 0.0
        if self.clock is not None:
            return self.clock.at(share, self.sigma_min, self.sigma_max)
        return self.sigma((1 - share) * (len(self.sigmas) * self.stride - 1))


@dataclass(frozen=True, slots=True)
class LogClock:
    """A quarter of the logarithm of sigma (Karras et al. 2022, table 1, EDM)."""

    def time(self, sigma: float) -> float:
        return 0.25 * math.log(sigma)

    def sigma(self, time: float) -> float:
        return math.exp(4 * time)

    def at(self, share: float, low: float, high: float) -> float:
        return math.exp((1 - share) * math.log(high) + share * math.log(low))


@dataclass(frozen=True, slots=True)
class AngleClock(LogClock):
    """The angle between picture and noise, 0..1 (Salimans and Ho 2022)."""

    def time(self, sigma: float) -> float:
        return math.atan(sigma) / (math.pi / 2)

    def sigma(self, time: float) -> float:
        return math.tan(time * math.pi / 2)


@dataclass(frozen=True, slots=True)
class RatioClock(LogClock):
    """The share of the noise, 0..1, where sigma is the ratio of noise to picture: a flow net's time."""

    def time(self, sigma: float) -> float:
        return sigma / (1 + sigma)

    def sigma(self, time: float) -> float:
        return time / (1 - time)


@dataclass(frozen=True, slots=True)
class FlowClock:
    """Sigma is the share of the noise, and times are `scale` times it; schedules put more steps where noise is strong.

    Time t is shifted to `shift * t / (1 + (shift - 1) * t)` (Esser et al. 2024, section 5.3.2).
    """

    shift: float = 1.0
    scale: float = 1000.0

    def time(self, sigma: float) -> float:
        return sigma * self.scale

    def sigma(self, time: float) -> float:
        share = time / self.scale
        return self.shift * share / (1 + (self.shift - 1) * share)

    def at(self, share: float, low: float, high: float) -> float:  # noqa: ARG002 - one signature for all
        return self.sigma((1 - share) * self.scale)


@lru_cache
def scaled_linear(start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> NoiseLevels:
    """Stable Diffusion's levels: betas linear in their square root (Rombach et al. 2022, published configuration)."""
    return _of_betas(torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2)


@lru_cache
def linear(start: float = 1e-4, end: float = 0.02, steps: int = 1000) -> NoiseLevels:
    """The levels of linear betas (Ho et al. 2020, section 4)."""
    return _of_betas(torch.linspace(start, end, steps, dtype=torch.float64))


@lru_cache
def cosine(offset: float = 0.008, steps: int = 1000) -> NoiseLevels:
    """Levels whose signal falls like a squared cosine; betas end at 0.999 (Nichol and Dhariwal 2021, section 3.2)."""
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    signal = torch.cos((times + offset) / (1 + offset) * math.pi / 2) ** 2
    return _of_betas((1 - signal[1:] / signal[:-1]).clamp(max=0.999))


def zero_terminal(levels: NoiseLevels) -> NoiseLevels:
    """`levels` rescaled so that the last one is all noise (Lin et al. 2024, algorithm 1).

    Its sigma would be infinite, so the last share of signal is kept at `LEAST_SIGNAL`.
    """
    root = (1 + torch.tensor(levels.sigmas, dtype=torch.float64) ** 2) ** -0.5
    root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    signal = root**2
    signal[-1] = LEAST_SIGNAL
    return NoiseLevels(_sigmas(signal), levels.clock, levels.stride)


def distilled(levels: NoiseLevels, steps: int = LCM_STEPS) -> NoiseLevels:
    """The `steps` of `levels` that a consistency model was distilled on, evenly apart down from the last."""
    stride = len(levels.sigmas) // steps
    return NoiseLevels(levels.sigmas[stride - 1 :: stride], None, stride)


def continuous(sigma_min: float, sigma_max: float, clock: Clock) -> NoiseLevels:
    """Every sigma in a range; the table has even steps in its logarithm. Raises `BoundsError` for an empty range."""
    within("sigma_max", sigma_max, 0.0)
    within("sigma_min", sigma_min, 0.0)
    if not 0 < sigma_min < sigma_max:
        raise BoundsError(
            "these noise levels are no range",
            where="inputs sigma_min and sigma_max",
            expected="0 < sigma_min < sigma_max",
            got=f"{sigma_min:g} and {sigma_max:g}",
        )
    table = torch.linspace(math.log(sigma_min), math.log(sigma_max), TABLE, dtype=torch.float64).exp()
    return NoiseLevels(tuple(table.tolist()), clock)


def flow(shift: float, scale: float = 1000.0, entries: int = TABLE) -> NoiseLevels:
    """The levels of a flow model, shifted (see `FlowClock`). Raises `BoundsError` for a shift that is not above 0."""
    within("shift", shift, 1e-6)
    clock = FlowClock(shift, scale)
    return NoiseLevels(tuple(clock.sigma(scale * entry / entries) for entry in range(1, entries + 1)), clock)


def _of_betas(betas: Tensor) -> NoiseLevels:
    return NoiseLevels(_sigmas(torch.cumprod(1 - betas, 0)))


def _sigmas(signal: Tensor) -> tuple[float, ...]:
    """Sigmas of cumulative shares of signal."""
    return tuple(((1 - signal) / signal).sqrt().tolist())
