"""DPM-Solver++ samplers (Lu et al. 2022b), in the variable lambda = -log sigma.

The multistep ones keep earlier estimates and extrapolate, so that a higher order still costs one evaluation a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler, ancestral, noised
from engine.diffusion.samplers.paths import ADDED, Added
from engine.tensors.noise import NoiseSource


def dpmpp_2m(x: Tensor, sigmas: list[float]) -> Sampler:
    """DPM-Solver++(2M), algorithm 2. Second order, one evaluation a step, deterministic."""
    previous: tuple[Tensor, float] | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        width = math.log(sigma / sigma_next)
        extrapolated = denoised
        if previous is not None:
            last, last_width = previous
            extrapolated = denoised + (denoised - last) * (width / (2 * last_width))
        x = (sigma_next / sigma) * x - math.expm1(-width) * extrapolated
        previous = (denoised, width)
    return x


def dpmpp_2m_sde(
    x: Tensor, sigmas: list[float], noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """SDE-DPM-Solver++(2M), midpoint form (DPM-Solver++, section 5.2). One evaluation a step; stochastic."""
    return _2m_sde(x, sigmas, noise, eta, s_noise, lambda width: -0.5 * math.expm1(-width))


def dpmpp_2m_sde_heun(
    x: Tensor, sigmas: list[float], noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """SDE-DPM-Solver++(2M) in the form that integrates the slope exactly. One evaluation a step; stochastic."""
    return _2m_sde(x, sigmas, noise, eta, s_noise, lambda width: 1 + math.expm1(-width) / width)


def _2m_sde(
    x: Tensor,
    sigmas: list[float],
    noise: NoiseSource,
    eta: float,
    s_noise: float,
    slope_weight: Callable[[float], float],
) -> Sampler:
    previous: tuple[Tensor, float] | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        width = math.log(sigma / sigma_next)
        wide = width * (1 + eta)
        x = _sde_mean(x, denoised, wide)
        if previous is not None:
            last, last_width = previous
            x = x + slope_weight(wide) * (width / last_width) * (denoised - last)
        x = noised(x, s_noise * _spread(sigma_next, width, eta), noise, sigma, sigma_next)
        previous = (denoised, width)
    return x


def dpmpp_3m_sde(
    x: Tensor, sigmas: list[float], noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """The third-order sibling of SDE-DPM-Solver++(2M), by k-diffusion. One evaluation a step; stochastic."""
    history: list[tuple[Tensor, float]] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        width = math.log(sigma / sigma_next)
        wide = width * (1 + eta)
        x = _sde_mean(x, denoised, wide)
        phi_2 = math.expm1(-wide) / wide + 1
        if len(history) == 1:
            ((last, last_width),) = history
            x = x + phi_2 * (width / last_width) * (denoised - last)
        elif history:
            (last, last_width), (older, older_width) = history
            r0, r1 = last_width / width, older_width / width
            near, far = (denoised - last) / r0, (last - older) / r1
            first = near + (near - far) * (r0 / (r0 + r1))
            second = (near - far) / (r0 + r1)
            x = x + phi_2 * first - (phi_2 / wide - 0.5) * second
        x = noised(x, s_noise * _spread(sigma_next, width, eta), noise, sigma, sigma_next)
        history = [(denoised, width), *history[:1]]
    return x


def dpmpp_2s_ancestral(
    x: Tensor, sigmas: list[float], noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0, path: Added = ADDED
) -> Sampler:
    """DPM-Solver++(2S), algorithm 1, to below the next level, then fresh noise. Two evaluations a step; stochastic."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        split = path.split(sigma, sigma_next, eta)
        denoised = yield Evaluate(x, sigma, step)
        if split.down > 0:
            middle = path.middle(sigma, split.down)
            guess = _exponential_step(x, denoised, sigma, middle)
            denoised = yield Evaluate(guess, middle, step)
        x = _exponential_step(x, denoised, sigma, split.down)
        x = split.refreshed(x, s_noise, noise, sigma, sigma_next)
    return x


def dpmpp_sde(
    x: Tensor, sigmas: list[float], noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5
) -> Sampler:
    """DPM-Solver++ of the stochastic equation, single step, by k-diffusion. Two evaluations a step; stochastic.

    The second evaluation lies the share `r` of the step away in lambda.
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma, step)
        if sigma_next == 0:
            return denoised
        middle = sigma ** (1 - r) * sigma_next**r
        down, up = ancestral(sigma, middle, eta)
        guess = _exponential_step(x, denoised, sigma, down)
        guess = noised(guess, s_noise * up, noise, sigma, middle)
        second = yield Evaluate(guess, middle, step)
        down, up = ancestral(sigma, sigma_next, eta)
        x = _exponential_step(x, denoised + (second - denoised) / (2 * r), sigma, down)
        x = noised(x, s_noise * up, noise, sigma, sigma_next)
    return x


def _exponential_step(x: Tensor, denoised: Tensor, sigma: float, target: float) -> Tensor:
    """The exact solution for a constant estimate: x moves towards it as sigma falls."""
    return denoised + (x - denoised) * (target / sigma)


def _sde_mean(x: Tensor, denoised: Tensor, wide: float) -> Tensor:
    """The mean of a step of the stochastic equation, `wide` = (1 + eta) times its width, for a constant estimate."""
    share = math.exp(-wide)
    return share * x + (1 - share) * denoised


def _spread(sigma_next: float, width: float, eta: float) -> float:
    """Standard deviation of what the stochastic equation adds in a step of `width` in lambda."""
    return sigma_next * math.sqrt(-math.expm1(-2 * eta * width))
