"""RES, the refined exponential solver (Zhang et al. 2023, 2308.02157), in its multistep form."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler, ancestral, noised
from engine.tensors.noise import NoiseSource


def res_multistep(x: Tensor, sigmas: list[float]) -> Sampler:
    """The last estimate stands for the middle stage. Second order, one evaluation a step; deterministic."""
    return _res(x, sigmas, None, eta=0.0, both=False)


def res_multistep_cfg_pp(x: Tensor, sigmas: list[float]) -> Sampler:
    """`res_multistep` on the unconditional estimates, with a push by the guidance in each step (CFG++, 2406.08070).

    Second order where the estimates agree, one evaluation a step; deterministic.
    """
    return _res(x, sigmas, None, eta=0.0, both=True)


def res_multistep_ancestral(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """`res_multistep` to below the next level, then fresh noise up to it. One evaluation a step; stochastic."""
    return _res(x, sigmas, noise, eta=1.0, both=False)


def res_multistep_ancestral_cfg_pp(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """`res_multistep_cfg_pp` with fresh noise in each step. One evaluation a step; stochastic."""
    return _res(x, sigmas, noise, eta=1.0, both=True)


def _res(x: Tensor, sigmas: list[float], noise: NoiseSource | None, *, eta: float, both: bool) -> Sampler:
    previous: tuple[Tensor, float] | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        answer = yield Evaluate(x, sigma, step, both=both)
        denoised, unconditional = (answer[0], answer[1]) if both else (answer, answer)
        down, up = ancestral(sigma, sigma_next, eta)
        if down == 0 or previous is None:
            x = denoised + (x - unconditional) * (down / sigma)
        else:
            last, last_width = previous
            own, older = _weights(math.log(sigma / down), last_width)
            x = (down / sigma) * (x + (denoised - unconditional)) + own * unconditional + older * last
        if noise is not None:
            x = noised(x, up, noise, sigma, sigma_next)
        # the way down alone: that is how the community's pictures are made where noise lifts x up again
        previous = (unconditional, math.log(sigma / down) if down > 0 else 0.0)
    return x


def _weights(width: float, last_width: float) -> tuple[float, float]:
    """Weights of this estimate and of the last: b1 and b2 of the paper's second order, c2 = -last_width / width."""
    whole = -math.expm1(-width)
    older = -(1 - whole / width) * width / last_width
    return whole - older, older
