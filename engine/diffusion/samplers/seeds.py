"""SEEDS (Gonzalez et al. 2023, 2305.14267): exponential solvers of the stochastic equation, data prediction.

In lambda = -log sigma; `eta` scales the noise, 0 leaves the probability flow. Noise that went into an earlier stage of
a step is carried on, so that all stages see one path.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.tensors.noise import NoiseSource

R1, R2 = 1 / 3, 2 / 3


def seeds_2(
    x: Tensor,
    sigmas: list[float],
    noise: NoiseSource | None,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
    phi_2: bool = False,
) -> Sampler:
    """SEEDS-2 (algorithm 2): the second evaluation lies the share `r` of the step away. Two evaluations; stochastic.

    The slope counts with phi_2 as in exponential integrators, else with half of phi_1. Second order if `eta` is 0.
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        path = _Path(noise, sigma, sigma_next, eta, s_noise)
        middle, fresh = path.advance(r)
        guess = _mean(x, denoised, r * path.wide) + fresh
        slope = (yield Evaluate(guess, middle, step)) - denoised
        weight = _phi_2(path.wide) / r if phi_2 else -math.expm1(-path.wide) / (2 * r)
        _, fresh = path.advance(1.0)
        x = _mean(x, denoised, path.wide) + weight * slope + fresh
    return x


def exp_heun_2_x0(x: Tensor, sigmas: list[float]) -> Sampler:
    """Heun's method as an exponential integrator: SEEDS-2 without noise, r = 1. Second order, two evaluations a step.

    Deterministic.
    """
    return seeds_2(x, sigmas, None, eta=0.0, r=1.0, phi_2=True)


def exp_heun_2_x0_sde(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """SEEDS-2 with r = 1. Two evaluations a step; stochastic."""
    return seeds_2(x, sigmas, noise, r=1.0, phi_2=True)


def seeds_3(
    x: Tensor, sigmas: list[float], noise: NoiseSource | None, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """SEEDS-3 (algorithm 3), r = 1/3 and 2/3. Three evaluations a step; stochastic; third order if `eta` is 0."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        path = _Path(noise, sigma, sigma_next, eta, s_noise)
        middle, fresh = path.advance(R1)
        guess = _mean(x, denoised, R1 * path.wide) + fresh
        slope = (yield Evaluate(guess, middle, step)) - denoised
        middle, fresh = path.advance(R2)
        guess = _mean(x, denoised, R2 * path.wide) + (R2 / R1) * _phi_2(R2 * path.wide) * slope + fresh
        slope = (yield Evaluate(guess, middle, step)) - denoised
        _, fresh = path.advance(1.0)
        x = _mean(x, denoised, path.wide) + _phi_2(path.wide) / R2 * slope + fresh
    return x


def _mean(x: Tensor, denoised: Tensor, wide: float) -> Tensor:
    """Where the stochastic equation takes x on the average, for a constant estimate."""
    return denoised + math.exp(-wide) * (x - denoised)


def _phi_2(wide: float) -> float:
    """`wide` times phi_2(-wide) of exponential integrators."""
    return 1 + math.expm1(-wide) / wide


class _Path:
    """The noise of one step, from `sigma` on to whichever level is asked for next."""

    def __init__(self, noise: NoiseSource | None, sigma: float, sigma_next: float, eta: float, s_noise: float) -> None:
        self._noise = noise if eta * s_noise > 0 else None
        self._ends = (sigma, sigma_next)
        self._width, self._eta, self._s_noise = math.log(sigma / sigma_next), eta, s_noise
        self._share, self._level = 0.0, sigma
        self._sum: Tensor | float = 0.0
        self.wide = self._width * (1 + eta)

    def advance(self, share: float) -> tuple[float, Tensor | float]:
        """The level after `share` of the step, and the noise that is in x there."""
        level = self._ends[0] ** (1 - share) * self._ends[1] ** share
        if self._noise is not None:
            part = (share - self._share) * self._width * self._eta
            # a part of no width draws too, so that the noise of the next step does not depend on where the stages lie
            fresh = math.sqrt(-math.expm1(-2 * part)) * self._noise(self._level, level)
            self._sum = math.exp(-part) * self._sum + fresh
        self._share, self._level = share, level
        return level, level * self._s_noise * self._sum
