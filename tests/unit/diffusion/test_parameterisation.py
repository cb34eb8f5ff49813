"""Noise levels: tables against diffusers, clocks against their formulas."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from engine.diffusion import parameterisation, schedules
from engine.diffusion.parameterisation import (
    AngleClock,
    LogClock,
    NoiseLevels,
    RatioClock,
    continuous,
    distilled,
    flow,
    scaled_linear,
    zero_terminal,
)
from engine.foundation.bounds import BoundsError

TABLES = {
    "linear": (parameterisation.linear(), DDPMScheduler(beta_schedule="linear")),
    "scaled_linear": (
        scaled_linear(),
        DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
    ),
    "cosine": (parameterisation.cosine(), DDPMScheduler(beta_schedule="squaredcos_cap_v2")),
}


def sigmas_of(signal: torch.Tensor) -> torch.Tensor:
    return ((1 - signal) / signal).sqrt()


@pytest.mark.parametrize("name", TABLES)
def test_tables_equal_diffusers(name: str) -> None:
    own, oracle = TABLES[name]
    expected = sigmas_of(torch.cumprod(1 - oracle.betas.double(), 0))
    assert torch.allclose(torch.tensor(own.sigmas, dtype=torch.float64), expected, rtol=2e-5)


def test_zero_terminal_rescaling_equals_diffusers_up_to_the_last_level() -> None:
    oracle = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    signal = torch.cumprod(1 - rescale_zero_terminal_snr(oracle.betas.double()), 0)
    own = zero_terminal(scaled_linear())
    assert torch.allclose(torch.tensor(own.sigmas[:-1]).double(), sigmas_of(signal[:-1]), rtol=1e-4)
    assert float(signal[-1]) == 0
    assert own.sigma_max == pytest.approx(4518.76, abs=0.1)


def test_a_distilled_model_knows_every_twentieth_timestep() -> None:
    levels = distilled(scaled_linear())
    assert levels.sigmas == scaled_linear().sigmas[19::20]
    assert [levels.timestep(sigma) for sigma in levels.sigmas] == list(range(19, 1000, 20))
    assert levels.sigma(979) == pytest.approx(scaled_linear().sigmas[979])


@pytest.mark.parametrize("clock", [LogClock(), AngleClock(), RatioClock()])
def test_clocks_are_there_and_back(clock: parameterisation.Clock) -> None:
    for sigma in (0.002, 0.7, 1.0, 120.0):
        assert clock.sigma(clock.time(sigma)) == pytest.approx(sigma, rel=1e-9)


def test_times_of_the_clocks_are_those_of_the_papers() -> None:
    assert LogClock().time(math.e) == 0.25
    assert AngleClock().time(1.0) == pytest.approx(0.5)
    assert RatioClock().time(4.0) == pytest.approx(0.8)
    assert flow(3.0).timestep(0.25) == 250.0


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_tables_equal_diffusers(shift: float) -> None:
    expected = FlowMatchEulerDiscreteScheduler(shift=shift).sigmas.flip(0)
    assert torch.allclose(torch.tensor(flow(shift).sigmas), expected, atol=1e-6)


def test_a_shift_by_size_equals_diffusers() -> None:
    oracle = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    times = torch.arange(1, 10_001, dtype=torch.float64) / 10_000
    own = torch.tensor(flow(math.exp(1.15), 1.0, 10_000).sigmas, dtype=torch.float64)
    assert (own - oracle.time_shift(1.15, 1.0, times)).abs().max() < 1e-10


def test_shares_of_the_sampling_fall_from_the_largest_to_the_smallest_sigma() -> None:
    for levels in (continuous(0.002, 120.0, LogClock()), flow(3.0), distilled(scaled_linear()), scaled_linear()):
        bounds = [levels.sigma_at(share) for share in (0.0, 1e-6, 0.3, 0.7, 1 - 1e-6, 1.0)]
        assert bounds == sorted(bounds, reverse=True)
        assert bounds[1] == pytest.approx(levels.sigma_max, rel=1e-3)
    assert flow(3.0).sigma_at(0.5) == pytest.approx(0.75)


def test_normal_schedules_are_even_in_the_nets_own_time() -> None:
    levels = continuous(0.03, 500.0, AngleClock())
    times = [AngleClock().time(sigma) for sigma in schedules.normal(levels, 5)[:-1]]
    steps = torch.tensor(times).diff()
    assert torch.allclose(steps, steps.mean().expand(4), atol=1e-6)


@pytest.mark.parametrize("name", schedules.SCHEDULES)
@pytest.mark.parametrize(
    "levels",
    [continuous(0.002, 120.0, LogClock()), flow(3.0), distilled(scaled_linear()), zero_terminal(scaled_linear())],
)
def test_every_schedule_falls_on_all_levels(name: str, levels: NoiseLevels) -> None:
    sigmas = schedules.SCHEDULES[name](levels, 8)
    assert all(a > b for a, b in pairwise(sigmas))
    assert sigmas[-1] == 0
    assert sigmas[0] <= levels.sigma_max * (1 + 1e-9)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (0.1, math.inf)]
)
def test_a_range_of_sigmas_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(BoundsError, match="sigma_m"):
        continuous(low, high, LogClock())


@pytest.mark.parametrize("shift", [0.0, -1.0, math.nan, math.inf])
def test_a_shift_that_is_none_is_refused(shift: float) -> None:
    with pytest.raises(BoundsError, match="input shift"):
        flow(shift)
