"""CFG++ (Chung et al. 2024, algorithm 2): the guided estimate is noised again with the noise of the unconditional one.

So each evaluation asks for both. Where the two agree these are the samplers they are named after. Guidance acts once a
step, which is why scales between 0 and 2 suffice and why more steps are not merely a finer approximation.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler, ancestral, noised
from engine.diffusion.samplers.multistep import GRADIENT_GAMMA
from engine.tensors.noise import NoiseSource


def euler_cfg_pp(x: Tensor, sigmas: list[float]) -> Sampler:
    """Algorithm 2 in sigmas. First order, one evaluation a step; deterministic."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = yield Evaluate(x, sigma, step, both=True)
        x = _renoised(x, denoised, unconditional, sigma, sigma_next)
    return x


def euler_cfg_pp_alternative(x: Tensor, sigmas: list[float]) -> Sampler:
    """An Euler step along x + unconditional - 2 guided, a form tried by the community. One evaluation; deterministic.

    It ends beyond the guided estimate, by as much as that is beyond the unconditional one.
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = yield Evaluate(x, sigma, step, both=True)
        x = x + (x + unconditional - 2 * denoised) * (sigma_next / sigma - 1)
    return x


def euler_ancestral_cfg_pp(
    x: Tensor, sigmas: list[float], noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """`euler_cfg_pp` to below the next level, then fresh noise up to it. One evaluation a step; stochastic."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = yield Evaluate(x, sigma, step, both=True)
        down, up = ancestral(sigma, sigma_next, eta)
        x = _renoised(x, denoised, unconditional, sigma, down)
        x = noised(x, s_noise * up, noise, sigma, sigma_next)
    return x


def dpmpp_2s_ancestral_cfg_pp(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """DPM-Solver++(2S) to below the next level, then fresh noise. Two evaluations a step; stochastic.

    As the authors have it: the middle is reached by the unconditional estimate alone, the end by both of the middle.
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        down, up = ancestral(sigma, sigma_next)
        denoised, unconditional = yield Evaluate(x, sigma, step, both=True)
        if down > 0:
            middle = math.sqrt(sigma * down)
            guess = _renoised(x, unconditional, unconditional, sigma, middle)
            denoised, unconditional = yield Evaluate(guess, middle, step, both=True)
        x = _renoised(x, denoised, unconditional, sigma, down)
        x = noised(x, up, noise, sigma, sigma_next)
    return x


def dpmpp_2m_cfg_pp(x: Tensor, sigmas: list[float]) -> Sampler:
    """DPM-Solver++(2M) of CFG++: the extrapolation goes from the last unconditional estimate to the guided one.

    Second order, one evaluation a step; deterministic.
    """
    previous: tuple[Tensor, float] | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = yield Evaluate(x, sigma, step, both=True)
        x = _renoised(x, denoised, unconditional, sigma, sigma_next)
        if sigma_next == 0:
            return x
        width = math.log(sigma / sigma_next)
        if previous is not None:
            last, last_width = previous
            x = x - math.expm1(-width) * (width / (2 * last_width)) * (denoised - last)
        previous = (unconditional, width)
    return x


def gradient_estimation_cfg_pp(x: Tensor, sigmas: list[float]) -> Sampler:
    """`euler_cfg_pp`, its slope corrected by its own change (Permenter and Yuan 2023, algorithm 2, gamma 2).

    First order, one evaluation a step; deterministic.
    """
    last: Tensor | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = yield Evaluate(x, sigma, step, both=True)
        slope = (x - unconditional) / sigma
        x = denoised + sigma_next * slope
        if last is not None and sigma_next > 0:
            x = x + (GRADIENT_GAMMA - 1) * (sigma_next - sigma) * (slope - last)
        last = slope
    return x


def _renoised(x: Tensor, denoised: Tensor, unconditional: Tensor, sigma: float, target: float) -> Tensor:
    """The guided estimate at noise level `target`, with the noise that is in `x` by the unconditional one."""
    return denoised + (x - unconditional) * (target / sigma)
