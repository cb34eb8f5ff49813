"""Schedules: noise levels to visit, from the trained table and a number of steps.

Each gives sigmas `(n + 1,)` descending and ending in 0, where n is the number of steps (`ddim_uniform` and `beta` may
give a step more or less, as their definitions do).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from scipy import special

from engine.diffusion.parameterisation import NoiseLevels
from engine.foundation.bounds import within

Schedule: TypeAlias = Callable[[NoiseLevels, int], list[float]]

KARRAS_RHO = 7.0
BETA_SHAPE = 0.6
LINEAR_SHARE = 0.025
LEAST_SIGMA, LEAST_SHAPE = 1e-9, 0.01
LARGEST_EXPONENT = 700.0  # of what is a number


def normal(levels: NoiseLevels, steps: int) -> list[float]:
    """Evenly spaced timesteps from the last to the first."""
    return [*(levels.sigma(t) for t in _times(levels, steps)), 0.0]


def sgm_uniform(levels: NoiseLevels, steps: int) -> list[float]:
    """Evenly spaced timesteps that leave out the first one (Stability's generative-models)."""
    return [*(levels.sigma(t) for t in _times(levels, steps + 1)[:-1]), 0.0]


def simple(levels: NoiseLevels, steps: int) -> list[float]:
    """Every (1000 / steps)-th trained level from the last on."""
    stride = len(levels.sigmas) / steps
    return [*(levels.sigmas[-(1 + int(step * stride))] for step in range(steps)), 0.0]


def ddim_uniform(levels: NoiseLevels, steps: int) -> list[float]:
    """Each (1000 // steps)-th trained level from the second on (Song et al. 2021); one more if that leaves a rest."""
    stride = max(len(levels.sigmas) // steps, 1)
    return [*reversed(levels.sigmas[1::stride]), 0.0]


def karras(levels: NoiseLevels, steps: int) -> list[float]:
    """Even steps in sigma^(1/7)."""
    return karras_between(levels.sigma_max, levels.sigma_min, steps)


def karras_between(high: float, low: float, steps: int, rho: float = KARRAS_RHO) -> list[float]:
    """Even steps in sigma^(1/rho) (Karras et al. 2022, equation 5)."""
    _check(steps, high, low)
    within("rho", rho, LEAST_SHAPE)
    return [*(root**rho for root in _spaced(high ** (1 / rho), low ** (1 / rho), steps)), 0.0]


def exponential(levels: NoiseLevels, steps: int) -> list[float]:
    """Even steps in log sigma."""
    return polyexponential_between(levels.sigma_max, levels.sigma_min, steps)


def polyexponential_between(high: float, low: float, steps: int, rho: float = 1.0) -> list[float]:
    """Steps in log sigma that are even in its root of order `rho` (k-diffusion); 1 is even steps in log sigma."""
    _check(steps, high, low)
    within("rho", rho, LEAST_SHAPE)
    width = math.log(high / low)
    return [*(low * math.exp(width * share**rho) for share in _spaced(1.0, 0.0, steps)), 0.0]


def vp(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3) -> list[float]:
    """Even steps in the time of the continuous variance-preserving process (Karras et al. 2022, table 1)."""
    within("steps", steps, 1)
    within("beta_min", beta_min, 0.0, LARGEST_EXPONENT)
    within("beta_d", beta_d, 0.0, 2 * (LARGEST_EXPONENT - beta_min))
    times = _spaced(1.0, eps_s, steps)
    return [*(math.sqrt(math.expm1(beta_d * t * t / 2 + beta_min * t)) for t in times), 0.0]


def laplace(high: float, low: float, steps: int, mu: float = 0.0, beta: float = 0.5) -> list[float]:
    """Log sigma at even quantiles of a Laplace distribution (Hang et al. 2024), cut at `low` and `high`.

    Those that are cut count once.
    """
    _check(steps, high, low)
    sigmas = []
    for share in _spaced(0.0, 1.0, steps):
        side = math.copysign(1.0, 0.5 - share) if share != 0.5 else 0.0
        sigmas.append(math.exp(mu - beta * side * math.log(1 - 2 * abs(0.5 - share) + 1e-5)))
    return [*dict.fromkeys(min(max(sigma, low), high) for sigma in sigmas), 0.0]


def sd_turbo(levels: NoiseLevels, steps: int, denoise: float = 1.0) -> list[float]:
    """Up to ten levels a tenth of the trained ones apart, from the last on (Sauer et al. 2023)."""
    within("steps", steps, 1, 10)
    start = 10 - int(10 * denoise)
    return [*(levels.sigma(100 * (10 - place) - 1) for place in range(start, min(start + steps, 10))), 0.0]


def extended(sigmas: Sequence[float], steps: int, high: float, low: float, spacing: str = "linear") -> list[float]:
    """Each step that begins within `low..high` cut into `steps`.

    The cuts lie even (`linear`), denser towards the step's end (`cosine`: sin of a quarter turn) or towards its start
    (`sine`: 1 - cos).
    """
    shares = [_SPACINGS[spacing](number / steps) for number in range(1, steps)]
    result: list[float] = []
    for start, end in pairwise(sigmas):
        result.append(start)
        if low <= start <= high:
            result += [start + share * (end - start) for share in shares]
    return [*result, *sigmas[-1:]]


def beta(levels: NoiseLevels, steps: int, alpha: float = BETA_SHAPE, beta: float = BETA_SHAPE) -> list[float]:
    """Timesteps at even quantiles of a Beta distribution (Lee et al. 2024); repeated ones count once."""
    within("steps", steps, 1)
    within("alpha", alpha, LEAST_SHAPE)
    within("beta", beta, LEAST_SHAPE)
    quantiles = 1 - np.linspace(0, 1, steps, endpoint=False)
    timesteps = np.rint(special.betaincinv(alpha, beta, quantiles) * (len(levels.sigmas) - 1)).astype(int)
    return [*(levels.sigmas[t] for t in dict.fromkeys(timesteps.tolist())), 0.0]


def linear_quadratic(levels: NoiseLevels, steps: int) -> list[float]:
    """Half the steps fall linearly over the first 2.5 % of the largest sigma, the rest quadratically to 0.

    Source: Polyak et al. 2024 (Movie Gen), section 3.4.2.
    """
    if steps == 1:
        return [levels.sigma_max, 0.0]
    linear = steps // 2
    slope = LINEAR_SHARE / linear
    rest = steps - linear
    curve = (1 - LINEAR_SHARE - slope * rest) / rest**2  # joins with the same slope and reaches 1 after the last step
    done = [slope * step for step in range(linear)]
    done += [LINEAR_SHARE + slope * step + curve * step**2 for step in range(rest)]
    return [*(levels.sigma_max * (1 - share) for share in done), 0.0]


def kl_optimal(levels: NoiseLevels, steps: int) -> list[float]:
    """Even steps in arctan sigma (Sabour et al. 2024, Align Your Steps, theorem 3.1)."""
    low, high = math.atan(levels.sigma_min), math.atan(levels.sigma_max)
    return [*map(math.tan, _spaced(high, low, steps)), 0.0]


SCHEDULES: Mapping[str, Schedule] = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": karras,
    "exponential": exponential,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": kl_optimal,
}


_SPACINGS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "cosine": lambda share: math.sin(share * math.pi / 2),
    "sine": lambda share: 1 - math.cos(share * math.pi / 2),
}


def _check(steps: int, high: float, low: float) -> None:
    """Raise `BoundsError` for numbers that no schedule can be made of."""
    within("steps", steps, 1)
    within("sigma_min", low, LEAST_SIGMA)
    within("sigma_max", high, low)


def _times(levels: NoiseLevels, count: int) -> list[float]:
    """Evenly spaced timesteps from the last to the first."""
    return _spaced(levels.timestep(levels.sigma_max), levels.timestep(levels.sigma_min), count)


def _spaced(start: float, end: float, count: int) -> list[float]:
    return [float(value) for value in np.linspace(start, end, count)]
