"""Multistep samplers in sigma and in time equal formulas written a second time, or diffusers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from engine.diffusion.samplers.interpolation import weights
from engine.diffusion.samplers.multistep import lms
from tests.unit.diffusion.toys import ANY_SCHEDULE, Schedule, finish, karras, nonlinear, points, start

STEPS = pytest.mark.parametrize("steps", [1, 2, 5, 12, 40])


def slope(x: Tensor, sigma: float) -> Tensor:
    return (x - nonlinear(x, sigma)) / sigma


@ANY_SCHEDULE
@STEPS
def test_ipndm_v_equals_the_toolboxs_coefficients(schedule: Schedule, steps: int) -> None:
    t = schedule(steps)
    x = expected = points()
    d: list[Tensor] = []
    for i in range(steps):
        d.append(slope(expected, t[i]))
        if t[i + 1] == 0:
            expected = nonlinear(expected, t[i])
            break
        h, h1, h2, h3 = (t[max(0, j + 1)] - t[max(0, j)] if j >= 0 else 1.0 for j in (i, i - 1, i - 2, i - 3))
        a = (1 - h**2 / (3 * h1 * (h1 + h2))) / 2 if i >= 2 else 0.0
        inner = (1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))
        b = inner * h * (h + h1) * (h + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3)) if i >= 3 else 0.0
        g = h1 * (h1 + h2) / (h2 * (h2 + h3))
        first = (2 + h / h1) / 2 + a + b if i else 1.0
        second = -(h / h1) / 2 - (1 + h1 / h2) * a - (1 + h1 / h2 + g) * b if i else 0.0
        third = a * h1 / h2 + (h1 / h2 + g * (1 + h2 / h3)) * b
        mixed = first * d[-1]
        for place, weight in ((2, second), (3, third), (4, -b * g * h2 / h3)):
            mixed = mixed + weight * d[-place] if i >= place - 1 else mixed
        expected = expected + h * mixed
    assert torch.allclose(finish(start("ipndm_v", x, t), nonlinear), expected, atol=1e-10)


def test_ipndm_v_up_to_order_three_is_ipndm_where_steps_are_even() -> None:
    sigmas = [*np.linspace(10, 1, 4).tolist(), 0.0]
    x = points()
    plain, uneven = (finish(start(name, x, sigmas), nonlinear) for name in ("ipndm", "ipndm_v"))
    assert torch.allclose(plain, uneven, atol=1e-10)


@ANY_SCHEDULE
@STEPS
def test_deis_equals_integrals_by_another_quadrature(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    low, high = math.log(1 + 0.002**2), math.log(1 + 80.0**2)
    curve = 2 * (low / 1e-3 - high) / (1e-3 - 1)
    base = high - curve / 2

    def time(sigma: float) -> float:
        return float((math.sqrt(base**2 + 2 * curve * math.log(1 + sigma**2)) - base) / curve)

    def weight(levels: list[float], which: int, start: float, end: float) -> float:
        """Over sigma, in its logarithm; the polynomial is one in time."""

        def integrand(log_sigma: float) -> float:
            at = time(math.exp(log_sigma))
            others = [level for level in levels if level != levels[which]]
            shares = [(at - time(other)) / (time(levels[which]) - time(other)) for other in others]
            return math.prod(shares) * math.exp(log_sigma)

        return float(quad(integrand, math.log(start), math.log(end), epsabs=1e-13, epsrel=1e-12)[0])

    x = expected = points()
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        slopes = [*slopes, slope(expected, sigma)][-3:]
        if sigma_next == 0:
            expected = nonlinear(expected, sigma)
            break
        levels = sigmas[i + 1 - len(slopes) : i + 1]
        for place in range(len(slopes)):
            expected = expected + weight(levels, place, sigma, sigma_next) * slopes[place]
    assert torch.allclose(finish(start("deis", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, with this numpy
@pytest.mark.parametrize("steps", [5, 10, 20, 40])
def test_plms_equals_diffusers(schedule: Schedule, steps: int) -> None:
    scheduler: Any = diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, set_alpha_to_one=True
    )
    scheduler.alphas_cumprod = signal = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(steps)
    times = scheduler.timesteps.tolist()
    sigmas = schedule(steps)
    for sigma, timestep in zip(sigmas, [times[0], *times[2:]], strict=False):
        signal[timestep] = 1 / (1 + sigma**2)
    x = points(16)
    z = x / math.sqrt(1 + sigmas[0] ** 2)
    for timestep in scheduler.timesteps:
        share = float(signal[timestep])
        sigma = math.sqrt((1 - share) / share)
        z = scheduler.step(slope(z * math.sqrt(1 + sigma**2), sigma), timestep, z).prev_sample
    assert torch.allclose(finish(start("plms", x, sigmas), nonlinear), z, atol=1e-10)


def test_plms_takes_one_evaluation_more_than_steps() -> None:
    for steps, evaluations in ((1, 1), (2, 3), (12, 13)):
        log: list[Tensor] = []
        finish(start("plms", points(4), karras(steps)), nonlinear, log)
        assert len(log) == evaluations


def test_lms_of_order_one_is_euler() -> None:
    x, sigmas = points(), karras(12)
    expected = finish(start("euler", x, sigmas), nonlinear)
    assert torch.allclose(finish(lms(x, sigmas, order=1), nonlinear), expected, atol=1e-10)


def test_interpolation_weights_are_exact_for_polynomials() -> None:
    nodes = [3.0, 2.2, 1.9, 1.0]
    shares = weights(nodes, 1.0, 0.25, np.ones_like)
    for power in range(4):
        expected = (0.25 ** (power + 1) - 1.0 ** (power + 1)) / (power + 1)
        total = sum(share * node**power for share, node in zip(shares, nodes, strict=True))
        assert total == pytest.approx(expected, abs=1e-12)
