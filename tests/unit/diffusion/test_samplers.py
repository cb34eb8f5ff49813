"""The laws every sampler obeys, and equality with formulas written a second time or with diffusers."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

from engine.diffusion.samplers import SAMPLERS
from engine.diffusion.samplers.evaluate import Sampler
from tests.oracles import k_diffusion
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
    softer,
    start,
)

DETERMINISTIC = [name for name, spec in SAMPLERS.items() if spec.noise is None]
STOCHASTIC = [name for name, spec in SAMPLERS.items() if spec.noise is not None]
ORDERS = {
    "euler": 1,
    "euler_cfg_pp": 1,
    "ddim": 1,
    "gradient_estimation": 1,
    "gradient_estimation_cfg_pp": 1,
    "heun": 2,
    "heunpp2": 1,
    "exp_heun_2_x0": 2,
    "dpm_2": 2,
    "dpmpp_2m": 2,
    "dpmpp_2m_cfg_pp": 2,
    "uni_pc": 2,
    "uni_pc_bh2": 2,
    "lms": 2,
    "ipndm": 2,
    "ipndm_v": 2,
    "deis": 2,
    "res_multistep": 2,
    "res_multistep_cfg_pp": 2,
    "plms": 2,
}
OWN_STEPS = {"dpm_fast", "dpm_adaptive"}  # their own file tests how their errors fall
GOLDEN = np.load(Path(__file__).parents[2] / "data" / "golden" / "samplers.npz")


def error_at(name: str, steps: int) -> float:
    sigmas = np.geomspace(2.0, 0.2, steps + 1).tolist()
    x = points() / 14.6 * 2
    end = finish(start(name, x, sigmas), gaussian)
    return float((end - gaussian_flow(x, 2.0, 0.2)).abs().max())


def test_every_deterministic_sampler_advertises_its_order() -> None:
    assert set(ORDERS) | OWN_STEPS == set(DETERMINISTIC)


@pytest.mark.parametrize("name", ORDERS)
def test_the_error_on_a_gaussian_falls_with_the_advertised_order(name: str) -> None:
    coarse, fine = error_at(name, 80), error_at(name, 160)
    assert math.log2(coarse / fine) == pytest.approx(ORDERS[name], abs=0.3)


@pytest.mark.parametrize("name", [name for name in DETERMINISTIC if name != "dpm_adaptive"])  # it tolerates more
def test_a_gaussian_is_sampled_to_its_known_end(name: str) -> None:
    x = points()
    end = finish(start(name, x, karras(400)), gaussian)
    assert torch.allclose(end, gaussian_flow(x, 14.6, 0.0), atol=0.03)


@pytest.mark.parametrize("name", [name for name in STOCHASTIC if name != "lcm"])  # lcm jumps to means, by design
def test_samples_of_a_gaussian_have_its_moments(name: str) -> None:
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * math.hypot(14.6, SPREAD)
    end = finish(start(name, x, karras(120)), gaussian)
    assert float(end.std()) == pytest.approx(SPREAD, rel=0.03)
    assert abs(float(end.mean())) < 0.03


@pytest.mark.parametrize("name", SAMPLERS)
def test_replaying_any_prefix_of_the_log_gives_the_same_result(name: str) -> None:
    x, sigmas = points(8), karras(9)
    log: list[Tensor] = []
    whole = finish(start(name, x, sigmas), nonlinear, log, unconditional=softer)
    for prefix in range(len(log) + 1):
        resumed = finish(start(name, x, sigmas), nonlinear, log[:prefix], replay=prefix, unconditional=softer)
        assert torch.equal(resumed, whole)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_job_gives_the_same_alone_and_interleaved_with_another(name: str) -> None:
    x, sigmas = points(8), karras(7)
    alone = finish(start(name, x, sigmas), nonlinear, unconditional=softer)
    first, second = start(name, x, sigmas), start("heun", x * 2, sigmas)
    asked, other = next(first), next(second)
    result = None
    while result is None:
        both = nonlinear(torch.stack([asked.x, other.x]), asked.sigma)  # one call for both jobs
        second_answer = both[1] if other.sigma == asked.sigma else nonlinear(other.x, other.sigma)
        try:
            other = second.send(second_answer)
        except StopIteration:
            second = start("heun", x * 2, sigmas)
            other = next(second)
        pair = torch.stack([both[0], softer(asked.x, asked.sigma)]) if asked.both else both[0]
        try:
            asked = first.send(pair)
        except StopIteration as stop:
            result = stop.value
    assert torch.allclose(result, alone, atol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_leaving_a_sampler_between_any_two_evaluations_leaves_nothing_behind(name: str) -> None:
    x, sigmas = points(8), karras(7)
    given, log = x.clone(), list[Tensor]()
    before = finish(start(name, x, sigmas), nonlinear, log)
    for place in range(len(log)):
        abandoned = start(name, x, sigmas)
        next(abandoned)
        for past in log[:place]:
            abandoned.send(past)
        abandoned.close()
    assert torch.equal(x, given)
    assert torch.equal(finish(start(name, x, sigmas), nonlinear), before)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_samples_of_lcm_have_the_moments_of_estimates_noised_again(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * math.hypot(14.6, SPREAD)
    variance = 14.6**2 + SPREAD**2
    for sigma, sigma_next in pairwise(sigmas):
        variance = variance * (SPREAD**2 / (SPREAD**2 + sigma**2)) ** 2 + sigma_next**2
    end = finish(start("lcm", x, sigmas), gaussian)
    assert float(end.std()) == pytest.approx(math.sqrt(variance), rel=0.03)
    assert abs(float(end.mean())) < 0.03


@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_are_counted_up_to_the_last_of_the_schedule(name: str) -> None:
    steps: list[int] = []
    x, sigmas = points(8), karras(7)

    def counted(sampler: Sampler) -> Sampler:
        answer = None
        while True:
            try:
                request = sampler.send(answer) if answer is not None else next(sampler)  # type: ignore[arg-type]
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            steps.append(request.step)
            answer = yield request

    finish(counted(start(name, x, sigmas)), nonlinear)
    assert steps == sorted(steps)
    assert 0 <= steps[0] <= steps[-1] < 7


@pytest.mark.parametrize("case", [case for case in GOLDEN.files if not case.startswith("settings/")])
def test_the_result_equals_k_diffusions(case: str) -> None:
    name, schedule, steps = case.split("/")
    ends = k_diffusion.ENDS[schedule] if name in OWN_STEPS else ()
    sigmas = k_diffusion.SCHEDULES[schedule](int(steps), *ends)
    x = points(16).reshape(2, 2, 2, 2)
    end = finish(start(name, x, sigmas[:-1] if name == "lms" else sigmas), nonlinear)
    assert torch.allclose(end.flatten(), torch.from_numpy(GOLDEN[case]), atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_ipndm_equals_its_formula(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    x = expected = points(16)
    slopes: list[Tensor] = []
    for sigma, sigma_next in pairwise(sigmas[:-1]):
        slopes = [*slopes, (expected - nonlinear(expected, sigma)) / sigma][-4:]
        order = len(slopes)
        mixed = [
            slopes[-1],
            (3 * slopes[-1] - slopes[-2]) / 2 if order > 1 else None,
            (23 * slopes[-1] - 16 * slopes[-2] + 5 * slopes[-3]) / 12 if order > 2 else None,
            (55 * slopes[-1] - 59 * slopes[-2] + 37 * slopes[-3] - 9 * slopes[-4]) / 24 if order > 3 else None,
        ][order - 1]
        assert mixed is not None
        expected = expected + mixed * (sigma_next - sigma)
    expected = nonlinear(expected, sigmas[-2])
    assert torch.allclose(finish(start("ipndm", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_gradient_estimation_equals_its_formula(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    x = expected = points(16)
    last = None
    for sigma, sigma_next in pairwise(sigmas):
        slope = (expected - nonlinear(expected, sigma)) / sigma
        width = sigma_next - sigma
        change = (2.0 - 1) * (slope - last) * width if last is not None and sigma_next else 0.0
        expected, last = expected + slope * width + change, slope
    assert torch.allclose(finish(start("gradient_estimation", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [2, 5, 12, 40])
def test_heunpp2_equals_its_formula(schedule: Schedule, steps: int) -> None:
    s = schedule(steps)
    x = expected = points(16)

    def slope(at: Tensor, sigma: float) -> Tensor:
        return (at - nonlinear(at, sigma)) / sigma

    for i in range(steps):
        d, dt = slope(expected, s[i]), s[i + 1] - s[i]
        if s[i + 1] == 0:
            expected = expected + d * dt
        elif s[i + 2] == 0:
            d_2 = slope(expected + d * dt, s[i + 1])
            w2 = s[i + 1] / (2 * s[0])
            expected = expected + (d * (1 - w2) + d_2 * w2) * dt
        else:
            x_2 = expected + d * dt
            d_2 = slope(x_2, s[i + 1])
            d_3 = slope(x_2 + d_2 * (s[i + 2] - s[i + 1]), s[i + 2])
            w2, w3 = s[i + 1] / (3 * s[0]), s[i + 2] / (3 * s[0])
            expected = expected + (d * (1 - w2 - w3) + d_2 * w2 + d_3 * w3) * dt
    assert torch.allclose(finish(start("heunpp2", x, s), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_ddpm_equals_the_posterior_of_its_paper(schedule: Schedule, steps: int) -> None:
    sigmas = schedule(steps)
    x = expected = points(16)
    generator = torch.Generator().manual_seed(0)
    for sigma, sigma_next in pairwise(sigmas):
        signal, signal_next = 1 / (1 + sigma**2), 1 / (1 + sigma_next**2)
        alpha = signal / signal_next
        epsilon = (expected - nonlinear(expected, sigma)) / sigma
        z = (expected * math.sqrt(signal) - (1 - alpha) / math.sqrt(1 - signal) * epsilon) / math.sqrt(alpha)
        if sigma_next:
            variance = (1 - alpha) * (1 - signal_next) / (1 - signal)
            z = z + math.sqrt(variance) * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        expected = z / math.sqrt(signal_next)
    assert torch.allclose(finish(start("ddpm", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_euler_equals_its_formula(schedule: Schedule, steps: int) -> None:
    x = expected = points()
    sigmas = schedule(steps)
    for sigma, sigma_next in pairwise(sigmas):
        slope = (expected - nonlinear(expected, sigma)) / sigma
        expected = expected + slope * (sigma_next - sigma)
    assert torch.allclose(finish(start("euler", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_heun_equals_algorithm_1_of_the_edm_paper(schedule: Schedule, steps: int) -> None:
    x = expected = points()
    sigmas = schedule(steps)
    for t, t_next in pairwise(sigmas):
        d = (expected - nonlinear(expected, t)) / t
        guess = expected + (t_next - t) * d
        if t_next != 0:
            d_next = (guess - nonlinear(guess, t_next)) / t_next
            guess = expected + (t_next - t) * (d / 2 + d_next / 2)
        expected = guess
    assert torch.allclose(finish(start("heun", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_dpm_2_equals_the_midpoint_rule_in_log_sigma(schedule: Schedule, steps: int) -> None:
    x = expected = points()
    sigmas = schedule(steps)
    for sigma, sigma_next in pairwise(sigmas):
        d = (expected - nonlinear(expected, sigma)) / sigma
        if sigma_next == 0:
            expected = expected + d * (sigma_next - sigma)
            continue
        middle = math.exp((math.log(sigma) + math.log(sigma_next)) / 2)
        half = expected + d * (middle - sigma)
        expected = expected + (half - nonlinear(half, middle)) / middle * (sigma_next - sigma)
    assert torch.allclose(finish(start("dpm_2", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_dpmpp_2m_equals_algorithm_2_of_its_paper(schedule: Schedule, steps: int) -> None:
    x = expected = points()
    sigmas = schedule(steps)
    lambdas = [-math.log(sigma) if sigma else math.inf for sigma in sigmas]
    estimates: list[Tensor] = []
    for i in range(steps):
        estimates.append(nonlinear(expected, sigmas[i]))
        if sigmas[i + 1] == 0:
            expected = estimates[-1]
            break
        h = lambdas[i + 1] - lambdas[i]
        d = estimates[-1]
        if i:
            r = (lambdas[i] - lambdas[i - 1]) / h
            d = (1 + 1 / (2 * r)) * estimates[-1] - 1 / (2 * r) * estimates[-2]
        expected = sigmas[i + 1] / sigmas[i] * expected - (math.exp(-h) - 1) * d
    assert torch.allclose(finish(start("dpmpp_2m", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_ancestral_samplers_equal_their_formula_with_the_same_noise(schedule: Schedule, steps: int) -> None:
    x = expected = points()
    sigmas = schedule(steps)
    generator = torch.Generator().manual_seed(0)
    for sigma, sigma_next in pairwise(sigmas):
        variance = sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2
        down = math.sqrt(sigma_next**2 - variance)
        expected = expected + (expected - nonlinear(expected, sigma)) / sigma * (down - sigma)
        if sigma_next:
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            expected = expected + math.sqrt(variance) * noise
    assert torch.allclose(finish(start("euler_ancestral", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_dpmpp_2m_sde_equals_its_formula_with_the_same_noise(schedule: Schedule, steps: int) -> None:
    x = expected = points()
    sigmas = schedule(steps)
    generator = torch.Generator().manual_seed(0)
    last, last_h = None, 0.0
    for sigma, sigma_next in pairwise(sigmas):
        d = nonlinear(expected, sigma)
        if sigma_next == 0:
            expected = d
            break
        h = math.log(sigma) - math.log(sigma_next)
        moved = sigma_next / sigma * math.exp(-h) * expected + (1 - math.exp(-2 * h)) * d
        if last is not None:
            moved = moved + 0.5 * (1 - math.exp(-2 * h)) / (last_h / h) * (d - last)
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        expected = moved + noise * sigma_next * math.sqrt(1 - math.exp(-2 * h))
        last, last_h = d, h
    assert torch.allclose(finish(start("dpmpp_2m_sde", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, with this numpy
@pytest.mark.parametrize("kind", ["bh1", "bh2"])
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_uni_pc_equals_diffusers(schedule: Schedule, kind: str, steps: int) -> None:
    sigmas = schedule(steps + 1)[:-1]  # not down to zero, where diffusers' first variant gives NaN
    scheduler: Any = diffusers.UniPCMultistepScheduler(
        solver_order=3, solver_type=kind, prediction_type="sample", use_karras_sigmas=True
    )
    scheduler.set_timesteps(steps)
    scheduler.sigmas = torch.tensor(sigmas, dtype=torch.float64)
    x = points(16).reshape(1, 1, 4, 4)
    expected = x / math.sqrt(1 + sigmas[0] ** 2)
    for sigma, timestep in zip(sigmas, scheduler.timesteps, strict=False):
        sample = nonlinear(expected * math.sqrt(1 + sigma**2), sigma)
        expected = scheduler.step(sample, timestep, expected).prev_sample
    name = "uni_pc" if kind == "bh1" else "uni_pc_bh2"
    expected = expected * math.sqrt(1 + sigmas[-1] ** 2)
    assert torch.allclose(finish(start(name, x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, with this numpy
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_ddim_equals_diffusers(schedule: Schedule, steps: int) -> None:
    scheduler: Any = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        prediction_type="sample",
    )
    scheduler.set_timesteps(steps)
    sigmas = schedule(steps)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    for sigma, timestep in zip(sigmas, scheduler.timesteps, strict=False):
        scheduler.alphas_cumprod[timestep] = 1 / (1 + sigma**2)
    x = points(16)
    expected = x / math.sqrt(1 + sigmas[0] ** 2)
    for sigma, timestep in zip(sigmas, scheduler.timesteps, strict=False):
        sample = nonlinear(expected * math.sqrt(1 + sigma**2), sigma)
        expected = scheduler.step(sample, timestep, expected).prev_sample
    assert torch.allclose(finish(start("ddim", x, sigmas), nonlinear), expected, atol=1e-10)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_lcm_equals_its_formula_with_the_same_noise(schedule: Schedule, steps: int) -> None:
    x = expected = points()
    sigmas = schedule(steps)
    generator = torch.Generator().manual_seed(0)
    for sigma, sigma_next in pairwise(sigmas):
        expected = nonlinear(expected, sigma)
        if sigma_next:
            expected = expected + sigma_next * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    assert torch.allclose(finish(start("lcm", x, sigmas), nonlinear), expected, atol=1e-12)


@ANY_SCHEDULE
@pytest.mark.parametrize("steps", [5, 12, 40])
def test_dpm_2_ancestral_equals_its_formula_with_the_same_noise(schedule: Schedule, steps: int) -> None:
    x = expected = points()
    sigmas = schedule(steps)
    generator = torch.Generator().manual_seed(0)
    for sigma, sigma_next in pairwise(sigmas):
        variance = sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2
        down = math.sqrt(sigma_next**2 - variance)
        slope = (expected - nonlinear(expected, sigma)) / sigma
        if down == 0:
            expected = expected + slope * (down - sigma)
            continue
        middle = math.exp((math.log(sigma) + math.log(down)) / 2)
        half = expected + slope * (middle - sigma)
        expected = expected + (half - nonlinear(half, middle)) / middle * (down - sigma)
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        expected = expected + math.sqrt(variance) * noise
    assert torch.allclose(finish(start("dpm_2_ancestral", x, sigmas), nonlinear), expected, atol=1e-10)
