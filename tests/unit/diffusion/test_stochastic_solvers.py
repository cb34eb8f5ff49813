"""SEEDS, ER-SDE and SA-Solver equal their papers' formulas with the same noise, and diffusers where it has them."""

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

from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.samplers.er_sde import er_sde, power_scale
from engine.diffusion.samplers.lcm import lcm_upscale
from engine.diffusion.samplers.sa_solver import Interval, Orders, middle_of_sampling, sa_solver
from engine.diffusion.samplers.seeds import seeds_2, seeds_3
from tests.unit.diffusion.toys import (
    ANY_SCHEDULE,
    SPREAD,
    Schedule,
    finish,
    gaussian,
    gaussian_flow,
    karras,
    nonlinear,
    points,
    seeded,
    start,
)

STEPS = pytest.mark.parametrize("steps", [1, 2, 5, 12, 40])
ALWAYS = Interval(0.0, math.inf, 0.7)
NEVER = Interval(0.0, 0.0, 0.0)


def phi(order: int, z: float) -> float:
    """phi_1 and phi_2 of exponential integrators, z below 0."""
    first = (math.exp(z) - 1) / z
    return first if order == 1 else (first - 1) / z


@ANY_SCHEDULE
@STEPS
@pytest.mark.parametrize(
    ("eta", "s_noise", "r", "phi_2"),
    [
        (1.0, 1.0, 0.5, False),
        (0.0, 1.0, 0.5, False),
        (0.4, 0.9, 0.3, True),
        (1.0, 1.0, 1.0, True),
        (0.0, 0.0, 1.0, True),
    ],
)
def test_seeds_2_equals_its_formula(
    schedule: Schedule, steps: int, eta: float, s_noise: float, r: float, phi_2: bool
) -> None:
    sigmas = schedule(steps)
    x = expected = points()
    noise = seeded(x)
    for s, t in pairwise(sigmas):
        d = nonlinear(expected, s)
        if t == 0:
            expected = d
            break
        h = math.log(s) - math.log(t)
        z = -(1 + eta) * h
        m = math.exp(math.log(s) - r * h)
        u = m / s * math.exp(-r * h * eta) * expected - r * z * phi(1, r * z) * d
        first, second = 0.0 * x, 0.0 * x
        if eta * s_noise:
            first, second = noise(s, m), noise(m, t)
        u = u + s_noise * m * math.sqrt(1 - math.exp(-2 * r * h * eta)) * first
        d2 = nonlinear(u, m)
        b2 = -z * (phi(2, z) / r if phi_2 else phi(1, z) / (2 * r))
        b1 = -z * phi(1, z) - b2
        expected = t / s * math.exp(-h * eta) * expected + b1 * d + b2 * d2
        early = math.sqrt(max(0.0, math.exp(-2 * (1 - r) * h * eta) - math.exp(-2 * h * eta)))
        late = math.sqrt(1 - math.exp(-2 * (1 - r) * h * eta))
        expected = expected + s_noise * t * (early * first + late * second)
    sampler = seeds_2(x, sigmas, seeded(x), eta=eta, s_noise=s_noise, r=r, phi_2=phi_2)
    assert torch.allclose(finish(sampler, nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@STEPS
def test_exponential_heun_is_seeds_2_with_the_second_evaluation_at_the_end(schedule: Schedule, steps: int) -> None:
    x, sigmas = points(), schedule(steps)
    for name, eta in (("exp_heun_2_x0", 0.0), ("exp_heun_2_x0_sde", 1.0)):
        expected = finish(seeds_2(x, sigmas, seeded(x), eta=eta, r=1.0, phi_2=True), nonlinear)
        assert torch.equal(finish(start(name, x, sigmas), nonlinear), expected)


@ANY_SCHEDULE
@STEPS
@pytest.mark.parametrize(("eta", "s_noise"), [(1.0, 1.0), (0.0, 1.0), (0.5, 0.8)])
def test_seeds_3_equals_its_formula(schedule: Schedule, steps: int, eta: float, s_noise: float) -> None:
    sigmas = schedule(steps)
    x = expected = points()
    noise = seeded(x)

    def path(*parts: tuple[float, Tensor]) -> Tensor:
        """Noise that went in over parts of the step, each faded by the parts after it."""
        total = 0.0 * x
        for width, fresh in parts:
            total = math.exp(-width * eta) * total + math.sqrt(1 - math.exp(-2 * width * eta)) * fresh
        return total

    for s, t in pairwise(sigmas):
        d = nonlinear(expected, s)
        if t == 0:
            expected = d
            break
        h = math.log(s / t)
        z = -(1 + eta) * h
        m1, m2 = s ** (2 / 3) * t ** (1 / 3), s ** (1 / 3) * t ** (2 / 3)
        fresh = [noise(s, m1), noise(m1, m2), noise(m2, t)] if eta else [0.0 * x] * 3
        parts = [(h / 3, part) for part in fresh]
        u = math.exp(z / 3) * expected - z / 3 * phi(1, z / 3) * d + s_noise * m1 * path(parts[0])
        d2 = nonlinear(u, m1) - d
        w = 2 * z / 3
        u = math.exp(w) * expected - w * phi(1, w) * d - 2 * w * phi(2, w) * d2 + s_noise * m2 * path(*parts[:2])
        d3 = nonlinear(u, m2) - d
        expected = math.exp(z) * expected - z * phi(1, z) * d - 1.5 * z * phi(2, z) * d3
        expected = expected + s_noise * t * path(*parts)
    sampler = seeds_3(x, sigmas, seeded(x), eta=eta, s_noise=s_noise)
    assert torch.allclose(finish(sampler, nonlinear), expected, atol=1e-10)


def authors_scale(sigma: float) -> float:
    return sigma * (math.exp(sigma**0.3) + 10)


@ANY_SCHEDULE
@STEPS
@pytest.mark.parametrize(("scale", "power"), [(authors_scale, None), (lambda s: s**2, 2.0), (lambda s: s, 1.0)])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_er_sde_equals_its_formula(
    schedule: Schedule, steps: int, scale: Any, power: float | None, stages: int
) -> None:
    sigmas = schedule(steps)
    x = expected = points()
    noise = seeded(x)
    s_noise = 0.0 if power == 1.0 else 0.9
    d: list[Tensor] = []
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d.append(nonlinear(expected, s))
        if t == 0:
            expected = d[-1]
            break
        r = scale(t) / scale(s)
        moved = r * expected + (1 - r) * d[-1]
        if i > 0 and stages > 1:
            whole = quad(lambda u: 1 / scale(u), t, s, epsabs=1e-14, epsrel=1e-12, limit=200)[0]
            slope = (d[-1] - d[-2]) / (s - sigmas[i - 1])
            moved = moved + (t - s + whole * scale(t)) * slope
        if i > 1 and stages > 2:
            moment = quad(lambda u, s=s: (u - s) / scale(u), t, s, epsabs=1e-14, epsrel=1e-12, limit=200)[0]
            before = (d[-2] - d[-3]) / (sigmas[i - 1] - sigmas[i - 2])
            moved = moved + ((t - s) ** 2 / 2 + moment * scale(t)) * (slope - before) / ((s - sigmas[i - 2]) / 2)
        spread = math.sqrt(max(0.0, t**2 - s**2 * r**2))
        expected = moved + s_noise * spread * noise(s, t) if s_noise else moved
    settings: dict[str, Any] = {} if power is None else {"scale": power_scale(power)}
    sampler = er_sde(x, sigmas, seeded(x), stages=stages, s_noise=s_noise, **settings)
    assert torch.allclose(finish(sampler, nonlinear), expected, atol=1e-10)


def sa_weights(lambdas: list[float], start: float, end: float, tau: float) -> list[float]:
    """The integrals of equation 14 by brute force: polynomials through the lambdas, newest last."""
    a = 1 + tau**2

    def part(which: int, at: float) -> float:
        others = [value for place, value in enumerate(lambdas) if place != which]
        return a * math.exp(a * (at - end)) * math.prod((at - other) / (lambdas[which] - other) for other in others)

    return [
        float(quad(lambda at, which=which: part(which, at), start, end, epsabs=1e-14, epsrel=1e-12)[0])
        for which in range(len(lambdas))
    ]


@ANY_SCHEDULE
@STEPS
@pytest.mark.parametrize("again", [False, True])
def test_sa_solver_equals_algorithm_1(schedule: Schedule, steps: int, again: bool) -> None:
    sigmas = schedule(steps)
    x = state = points()
    noise = seeded(x)
    lambdas = [-math.log(sigma) if sigma else math.inf for sigma in sigmas]
    levels = scaled_linear()
    d: list[Tensor] = []

    def move(base: Tensor, i: int, order: int, tau: float) -> Tensor:
        """From level i to the next, with the newest `order` estimates."""
        used = lambdas[len(d) - order : len(d)]
        shares = sa_weights(used, lambdas[i], lambdas[i + 1], tau)
        moved = sigmas[i + 1] / sigmas[i] * math.exp(-(tau**2) * (lambdas[i + 1] - lambdas[i])) * base
        return moved + sum(share * past for share, past in zip(shares, d[-order:], strict=True))

    before, fresh, tau = x, 0.0 * x, 0.0
    for i in range(steps):
        d.append(nonlinear(state, sigmas[i]))
        if i > 0 and (again or sigmas[i + 1] > 0):
            state = move(before, i - 1, min(4, i + 1, steps - i), tau) + fresh
            if again:
                d[-1] = nonlinear(state, sigmas[i])
        if sigmas[i + 1] == 0:
            state = d[-1]
            break
        tau = 1.0 if levels.sigma_at(0.8) <= sigmas[i + 1] <= levels.sigma_at(0.2) else 0.0
        amount = sigmas[i + 1] * math.sqrt(1 - math.exp(-2 * tau**2 * (lambdas[i + 1] - lambdas[i])))
        fresh = amount * noise(0.0, 0.0) if amount else 0.0 * x
        before, state = state, move(state, i, min(3, i + 1, steps - i - 1), tau) + fresh
    name = "sa_solver_pece" if again else "sa_solver"
    assert torch.allclose(finish(start(name, x, sigmas), nonlinear), state, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, with this numpy
@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (3, 4), (3, 3)])
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_sa_solver_equals_diffusers(schedule: Schedule, orders: tuple[int, int], steps: int) -> None:
    sigmas = schedule(steps + 1)[:-1]
    scheduler: Any = diffusers.SASolverScheduler(
        predictor_order=orders[0],
        corrector_order=orders[1],
        prediction_type="sample",
        tau_func=lambda _t: 0.7,
        lower_order_final=False,
        use_karras_sigmas=True,
    )
    scheduler.set_timesteps(steps)
    scheduler.sigmas = torch.tensor(sigmas, dtype=torch.float64)
    x = points(16).reshape(1, 1, 4, 4)
    z = x / math.sqrt(1 + sigmas[0] ** 2)
    generator = torch.Generator().manual_seed(0)
    for sigma, timestep in zip(sigmas, scheduler.timesteps, strict=False):
        sample = nonlinear(z * math.sqrt(1 + sigma**2), sigma)
        z = scheduler.step(sample, timestep, z, generator=generator).prev_sample
    settings = Orders(*orders, simple=True)  # diffusers always takes the short forms
    end = finish(sa_solver(x, sigmas, seeded(x), interval=ALWAYS, orders=settings), nonlinear)
    assert torch.allclose(end, z * math.sqrt(1 + sigmas[-1] ** 2), atol=1e-10)


@pytest.mark.parametrize(
    "orders", [Orders(3, 0), Orders(1, 4), Orders(6, 6), Orders(3, 4, simple=True), Orders(3, 4, True)]
)
@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_sa_solver_gives_the_moments_of_a_gaussian(orders: Orders, tau: float) -> None:
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * math.hypot(14.6, SPREAD)
    end = finish(sa_solver(x, karras(120), seeded(x), interval=Interval(0.0, 99.0, tau), orders=orders), gaussian)
    assert float(end.std()) == pytest.approx(SPREAD, rel=0.03)
    assert abs(float(end.mean())) < 0.03


FLOWS: dict[str, tuple[Any, float]] = {
    "seeds_2": (lambda x, s: seeds_2(x, s, None, eta=0.0), 2),
    "seeds_2, phi_2": (lambda x, s: seeds_2(x, s, None, eta=0.0, r=0.3, phi_2=True), 2),
    "seeds_3": (lambda x, s: seeds_3(x, s, None, eta=0.0), 3),
    "er_sde": (lambda x, s: er_sde(x, s, seeded(x), scale=power_scale(1), s_noise=0.0), 2),
    "sa_solver": (lambda x, s: sa_solver(x, s, None, interval=NEVER), 4),
    "sa_solver, pece": (lambda x, s: sa_solver(x, s, None, interval=NEVER, orders=Orders(again=True)), 3),
    "sa_solver, two": (lambda x, s: sa_solver(x, s, None, interval=NEVER, orders=Orders(2, 2)), 2),
    "sa_solver, two, simple": (lambda x, s: sa_solver(x, s, None, interval=NEVER, orders=Orders(2, 2, simple=True)), 2),
}


@pytest.mark.parametrize("case", FLOWS)
def test_without_noise_the_error_falls_with_the_advertised_order(case: str) -> None:
    sampler, order = FLOWS[case]
    errors = []
    for steps in (160, 320):
        x = points() / 14.6 * 2
        end = finish(sampler(x, np.geomspace(2.0, 0.2, steps + 1).tolist()), gaussian)
        errors.append(float((end - gaussian_flow(x, 2.0, 0.2)).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.4)


def test_noise_of_sa_solver_lies_in_the_middle_of_the_sampling() -> None:
    interval = middle_of_sampling()
    levels = scaled_linear()
    assert (interval.low, interval.high) == (levels.sigma_at(0.8), levels.sigma_at(0.2))
    assert [interval.at(sigma) for sigma in (interval.high * 1.01, 1.0, interval.low * 0.99)] == [0.0, 1.0, 0.0]


def test_a_large_tau_over_a_wide_step_stays_finite_and_forgets_where_it_was() -> None:
    x = points(16)
    settings: dict[str, Any] = {"interval": Interval(0.0, 99.0, 10.0), "s_noise": 0.0}
    ends = [finish(sa_solver(k * x, [14.0, 1.0, 0.1], seeded(x), **settings), gaussian) for k in (1, 1.0001)]
    assert torch.isfinite(ends[0]).all()
    assert torch.allclose(*ends, atol=1e-4)


@pytest.mark.parametrize(
    ("count", "grown"), [(None, [12, 16, 16]), (0, [8, 8, 8]), (1, [16, 16, 16]), (99, [10, 12, 14])]
)
def test_lcm_grows_its_estimates_to_the_size_asked_for(count: int | None, grown: list[int]) -> None:
    x, sigmas = torch.ones(1, 2, 8, 8), [8.0, 4.0, 2.0, 0.0]
    log: list[Tensor] = []
    end = finish(lcm_upscale(x, sigmas, seeded(x), ratio=2.0, method="nearest-exact", count=count), gaussian, log)
    assert [answer.shape[-1] for answer in log] == [8, *grown[:2]]
    assert end.shape == (1, 2, grown[2], grown[2])
