"""CFG++ samplers equal their formulas where the two estimates differ, and their plain kin where they agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from engine.diffusion.samplers.cfgpp import euler_ancestral_cfg_pp, euler_cfg_pp_alternative
from tests.unit.diffusion.toys import ANY_SCHEDULE, Schedule, finish, karras, nonlinear, points, seeded, softer, start

STEPS = pytest.mark.parametrize("steps", [1, 2, 5, 12, 40])
KIN = {
    "euler_cfg_pp": "euler",
    "euler_ancestral_cfg_pp": "euler_ancestral",
    "dpmpp_2s_ancestral_cfg_pp": "dpmpp_2s_ancestral",
    "dpmpp_2m_cfg_pp": "dpmpp_2m",
    "res_multistep_cfg_pp": "res_multistep",
    "res_multistep_ancestral_cfg_pp": "res_multistep_ancestral",
    "gradient_estimation_cfg_pp": "gradient_estimation",
}


def result(name: str, x: Tensor, sigmas: list[float]) -> Tensor:
    return finish(start(name, x, sigmas), nonlinear, unconditional=softer)


def split(sigma: float, sigma_next: float, eta: float = 1.0) -> tuple[float, float]:
    up = eta * math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2)
    return math.sqrt(sigma_next**2 - up**2), up


@pytest.mark.parametrize("name", KIN)
def test_where_the_estimates_agree_it_is_the_plain_sampler(name: str) -> None:
    x, sigmas = points(16), karras(12)
    same = finish(start(name, x, sigmas), nonlinear, unconditional=nonlinear)
    assert torch.allclose(same, finish(start(KIN[name], x, sigmas), nonlinear), atol=1e-10)


@pytest.mark.parametrize("name", KIN)
def test_where_they_differ_it_is_not(name: str) -> None:
    x, sigmas = points(16), karras(12)
    assert not torch.allclose(result(name, x, sigmas), finish(start(KIN[name], x, sigmas), nonlinear), atol=1e-3)


@ANY_SCHEDULE
@STEPS
def test_euler_is_ddim_that_is_noised_again_by_the_unconditional_noise(schedule: Schedule, steps: int) -> None:
    """Algorithm 2 of the paper, in the variance-preserving form that it is written in."""
    sigmas = schedule(steps)
    x = points()
    z = x / math.sqrt(1 + sigmas[0] ** 2)
    for sigma, sigma_next in pairwise(sigmas):
        signal, signal_next = 1 / (1 + sigma**2), 1 / (1 + sigma_next**2)
        seen = z / math.sqrt(signal)
        noise = (z - math.sqrt(signal) * softer(seen, sigma)) / math.sqrt(1 - signal)
        z = math.sqrt(signal_next) * nonlinear(seen, sigma) + math.sqrt(1 - signal_next) * noise
    assert torch.allclose(result("euler_cfg_pp", x, sigmas), z, atol=1e-10)


@ANY_SCHEDULE
@STEPS
@pytest.mark.parametrize(("eta", "s_noise"), [(1.0, 1.0), (0.6, 0.8), (0.0, 1.0)])
def test_euler_ancestral_equals_its_formula_with_the_same_noise(
    schedule: Schedule, steps: int, eta: float, s_noise: float
) -> None:
    sigmas = schedule(steps)
    x = expected = points()
    noise = seeded(x)
    for sigma, sigma_next in pairwise(sigmas):
        down, up = split(sigma, sigma_next, eta)
        noise_in_x = (expected - softer(expected, sigma)) / sigma
        expected = nonlinear(expected, sigma) + down * noise_in_x
        if up:
            expected = expected + s_noise * up * noise(sigma, sigma_next)
    sampler = euler_ancestral_cfg_pp(x, sigmas, seeded(x), eta=eta, s_noise=s_noise)
    assert torch.allclose(finish(sampler, nonlinear, unconditional=softer), expected, atol=1e-10)


@ANY_SCHEDULE
@STEPS
def test_the_alternative_euler_equals_its_formula(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    x = expected = points()
    for sigma, sigma_next in pairwise(sigmas):
        guided = nonlinear(expected, sigma)
        slope = (expected - guided + softer(expected, sigma) - guided) / sigma
        expected = expected + slope * (sigma_next - sigma)
    sampler = euler_cfg_pp_alternative(x, sigmas)
    assert torch.allclose(finish(sampler, nonlinear, unconditional=softer), expected, atol=1e-10)


@ANY_SCHEDULE
@STEPS
def test_dpmpp_2s_ancestral_equals_the_authors_form(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    x = expected = points()
    noise = seeded(x)
    for sigma, sigma_next in pairwise(sigmas):
        down, up = split(sigma, sigma_next)
        if down == 0:
            expected = nonlinear(expected, sigma)
            continue
        h = math.log(sigma) - math.log(down)
        middle = math.exp((math.log(sigma) + math.log(down)) / 2)
        guess = middle / sigma * expected - math.expm1(-h / 2) * softer(expected, sigma)
        expected = nonlinear(guess, middle) - math.exp(-h) * softer(guess, middle) + down / sigma * expected
        expected = expected + up * noise(sigma, sigma_next)
    assert torch.allclose(result("dpmpp_2s_ancestral_cfg_pp", x, sigmas), expected, atol=1e-10)


@ANY_SCHEDULE
@STEPS
def test_dpmpp_2m_equals_the_authors_form(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    x = expected = points()
    old: Tensor | None = None
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        guided, unconditional = nonlinear(expected, sigma), softer(expected, sigma)
        if old is None or sigma_next == 0:
            expected = guided + (expected - unconditional) / sigma * sigma_next
        else:
            h, h_last = math.log(sigma / sigma_next), math.log(sigmas[i - 1] / sigma)
            extra = math.exp(-h) * (expected - unconditional)
            expected = guided + extra + (1 - math.exp(-h)) * (guided - old) / (2 * h_last / h)
        old = unconditional
    assert torch.allclose(result("dpmpp_2m_cfg_pp", x, sigmas), expected, atol=1e-10)


@ANY_SCHEDULE
@STEPS
def test_gradient_estimation_equals_its_formula(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    x = expected = points()
    old: Tensor | None = None
    for sigma, sigma_next in pairwise(sigmas):
        guided = nonlinear(expected, sigma)
        slope = (expected - softer(expected, sigma)) / sigma
        expected = guided + sigma_next * slope
        if old is not None and sigma_next:
            expected = expected + (slope - old) * (sigma_next - sigma)
        old = slope
    assert torch.allclose(result("gradient_estimation_cfg_pp", x, sigmas), expected, atol=1e-10)


def phi(order: int, z: float) -> float:
    """phi_1 and phi_2 of exponential integrators by their series."""
    return sum(z**k / math.factorial(k + order) for k in range(60))


def res(x: Tensor, sigmas: list[float], eta: float, unconditional: Callable[[Tensor, float], Tensor]) -> Tensor:
    """RES in the terms of its paper: t = -log sigma, stages a step h apart, c2 counted back to the last level."""
    noise = seeded(x)
    old: Tensor | None = None
    old_down = 0.0
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        guided, other = nonlinear(x, sigma), unconditional(x, sigma)
        down, up = split(sigma, sigma_next, eta)
        if down == 0 or old is None:
            x = guided + (x - other) / sigma * down
        else:
            h = math.log(sigma) - math.log(down)
            c2 = (math.log(old_down) - math.log(sigmas[i - 1])) / h
            b1, b2 = phi(1, -h) - phi(2, -h) / c2, phi(2, -h) / c2
            x = math.exp(-h) * (x + guided - other) + h * (b1 * other + b2 * old)
        if up:
            x = x + up * noise(sigma, sigma_next)
        old, old_down = other, down
    return x


@ANY_SCHEDULE
@STEPS
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("cfg_pp", [False, True])
def test_res_multistep_equals_its_formula(schedule: Schedule, steps: int, eta: float, cfg_pp: bool) -> None:
    name = "res_multistep" + ("_ancestral" if eta else "") + ("_cfg_pp" if cfg_pp else "")
    x, sigmas = points(), schedule(steps)
    expected = res(x, sigmas, eta, softer if cfg_pp else nonlinear)
    assert torch.allclose(result(name, x, sigmas), expected, atol=1e-10)
