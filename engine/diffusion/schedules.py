"""Schedules: noise levels to visit, from the trained table and a number of steps.

Each gives sigmas `(n + 1,)` descending and ending in 0, where n is the number of steps (`ddim_uniform` and `beta` may
give a step more or less, as their definitions do).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from scipy import stats

from engine.diffusion.parameterisation import NoiseLevels

Schedule: TypeAlias = Callable[[NoiseLevels, int], list[float]]

KARRAS_RHO = 7.0
BETA_SHAPE = 0.6


def normal(levels: NoiseLevels, steps: int) -> list[float]:
    """Evenly spaced timesteps from the last to the first."""
    return [*(levels.sigma(t) for t in _spaced(len(levels.sigmas) - 1, 0, steps)), 0.0]


def sgm_uniform(levels: NoiseLevels, steps: int) -> list[float]:
    """Evenly spaced timesteps that leave out the first one (Stability's generative-models)."""
    return [*(levels.sigma(t) for t in _spaced(len(levels.sigmas) - 1, 0, steps + 1)[:-1]), 0.0]


def simple(levels: NoiseLevels, steps: int) -> list[float]:
    """Every (1000 / steps)-th trained level from the last on."""
    stride = len(levels.sigmas) / steps
    return [*(levels.sigmas[-(1 + int(step * stride))] for step in range(steps)), 0.0]


def ddim_uniform(levels: NoiseLevels, steps: int) -> list[float]:
    """Each (1000 // steps)-th trained level from the second on (Song et al. 2021); one more if that leaves a rest."""
    stride = max(len(levels.sigmas) // steps, 1)
    return [*reversed(levels.sigmas[1::stride]), 0.0]


def karras(levels: NoiseLevels, steps: int) -> list[float]:
    """Even steps in sigma^(1/7) (Karras et al. 2022, equation 5)."""
    low, high = levels.sigma_min ** (1 / KARRAS_RHO), levels.sigma_max ** (1 / KARRAS_RHO)
    return [*(root**KARRAS_RHO for root in _spaced(high, low, steps)), 0.0]


def exponential(levels: NoiseLevels, steps: int) -> list[float]:
    """Even steps in log sigma."""
    return [*map(math.exp, _spaced(math.log(levels.sigma_max), math.log(levels.sigma_min), steps)), 0.0]


def beta(levels: NoiseLevels, steps: int) -> list[float]:
    """Timesteps at even quantiles of a Beta(0.6, 0.6) distribution (Lee et al. 2024); repeated ones count once."""
    quantiles = 1 - np.linspace(0, 1, steps, endpoint=False)
    timesteps = np.rint(stats.beta.ppf(quantiles, BETA_SHAPE, BETA_SHAPE) * (len(levels.sigmas) - 1)).astype(int)
    return [*(levels.sigmas[t] for t in dict.fromkeys(timesteps.tolist())), 0.0]


SCHEDULES: Mapping[str, Schedule] = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": karras,
    "exponential": exponential,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
}


def _spaced(start: float, end: float, count: int) -> list[float]:
    return [float(value) for value in np.linspace(start, end, count)]
