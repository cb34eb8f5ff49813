"""UniPC (Zhao et al. 2023): a multistep predictor with a corrector that costs no further evaluation.

Data prediction in the variable lambda = -log sigma, algorithms 5 and 6 of the paper; `B(h)` is h in the first variant
and expm1(h) in the second. Order three inside; the first steps and the last are of lower order, for the stability of
short runs, so that the whole converges with order two.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from engine.diffusion.samplers.evaluate import Evaluate, Sampler

MAX_ORDER = 3


def uni_pc(x: Tensor, sigmas: list[float]) -> Sampler:
    """UniPC-3 with B1(h) = h. One evaluation a step; deterministic."""
    return _uni_pc(x, sigmas, lambda h: h)


def uni_pc_bh2(x: Tensor, sigmas: list[float]) -> Sampler:
    """UniPC-3 with B2(h) = expm1(h). One evaluation a step; deterministic."""
    return _uni_pc(x, sigmas, math.expm1)


def _uni_pc(x: Tensor, sigmas: list[float], b: Callable[[float], float]) -> Sampler:
    steps = len(sigmas) - 1
    history: list[tuple[float, Tensor]] = []
    denoised = yield Evaluate(x, sigmas[0], 0)
    for step in range(steps):
        sigma, sigma_next = sigmas[step], sigmas[step + 1]
        history = [*history[-(MAX_ORDER - 1) :], (sigma, denoised)]
        order = min(MAX_ORDER, len(history), steps - step)
        if sigma_next == 0:
            return denoised
        used = history[-order:]
        base, residues = _step(x, used, sigma_next)
        guess = base + _combine(residues, _weights(used, sigma_next, b, corrector=False))
        if step == steps - 1:
            return guess
        denoised = yield Evaluate(guess, sigma_next, step + 1)
        residues = [*residues, denoised - used[-1][1]]
        x = base + _combine(residues, _weights(used, sigma_next, b, corrector=True))
    return x


def _step(x: Tensor, used: list[tuple[float, Tensor]], sigma_next: float) -> tuple[Tensor, list[Tensor]]:
    """The first-order step and the differences of older estimates to the newest one (D in the paper, not divided)."""
    sigma, denoised = used[-1]
    base = (sigma_next / sigma) * x + (1 - sigma_next / sigma) * denoised
    return base, [older - denoised for _, older in reversed(used[:-1])]


def _combine(residues: list[Tensor], weights: list[float]) -> Tensor | float:
    total: Tensor | float = 0.0
    for residue, weight in zip(residues, weights, strict=True):
        total = total + weight * residue
    return total


def _weights(
    used: list[tuple[float, Tensor]], sigma_next: float, b: Callable[[float], float], *, corrector: bool
) -> list[float]:
    """Weight of each difference: the solution of the linear system R rho = g / B (paper, equation 9), times B / r."""
    sigma = used[-1][0]
    h = -math.log(sigma / sigma_next)  # minus the step in lambda, as data prediction has it
    ratios = [math.log(sigma / older) / -h for older, _ in reversed(used[:-1])]
    if corrector:
        ratios.append(1.0)
    if not ratios:
        return []
    size, scale = len(ratios), b(h)
    matrix = np.vander(ratios, size, increasing=True).T
    phi, factorial, right = math.expm1(h) / h - 1, 1.0, []
    for power in range(1, size + 1):
        right.append(phi * factorial / scale)
        factorial *= power + 1
        phi = phi / h - 1 / factorial
    solution = [0.5] if size == 1 else np.linalg.solve(matrix, np.asarray(right)).tolist()  # 0.5: paper, section 3.3
    return [-scale * rho / ratio for rho, ratio in zip(solution, ratios, strict=True)]
