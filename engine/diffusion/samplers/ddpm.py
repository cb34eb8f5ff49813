"""Ancestral sampling with the variance that a net learned."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler
from engine.tensors.noise import NoiseSource


def ddpm_learned(x: Tensor, sigmas: list[float], noise: NoiseSource) -> Sampler:
    """Ho et al. 2020, algorithm 2, with the variance of Nichol and Dhariwal 2021, equation 15.

    The net says where the logarithm of the variance lies between that of the posterior and that of the forward step.
    One evaluation a step; stochastic. With the posterior's variance this is `euler_ancestral`.
    """
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        answer = yield Evaluate(x, sigma, step, variance=True)
        denoised, learned = answer[0], answer[1]
        if sigma_next == 0:
            return denoised
        kept = (sigma_next / sigma) ** 2
        x = denoised + (x - denoised) * kept
        low, high = _log_variances(sigma, sigma_next)
        share = (learned + 1) / 2
        x = x + torch.exp((share * high + (1 - share) * low) / 2) * noise(sigma, sigma_next)
    return x


def _log_variances(sigma: float, sigma_next: float) -> tuple[float, float]:
    """The ends of the learned range, for latents to which noise is added.

    In the paper's terms, with a = 1 / (1 + sigma^2): beta = 1 - a / a_next and its posterior share
    (1 - a_next) / (1 - a), both over a_next, as latents here are larger by the root of that.
    """
    fresh = sigma**2 - sigma_next**2
    return math.log(fresh * (sigma_next / sigma) ** 2), math.log(fresh * (1 + sigma_next**2) / (1 + sigma**2))
