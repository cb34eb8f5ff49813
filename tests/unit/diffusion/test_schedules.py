"""Sigma tables: fixed points of the community's schedules, and diffusers' where it has them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest

from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.sampling import Steps
from engine.diffusion.schedules import SCHEDULES

LEVELS = scaled_linear()
GOLDEN: dict[str, list[float]] = json.loads(
    (Path(__file__).parents[2] / "data" / "golden" / "schedules.json").read_text("utf-8")
)
FIXED_POINTS = {  # first and last non-zero sigma at 20 steps, as observed in the community's programs
    "simple": (14.6146, 0.2230),
    "sgm_uniform": (14.6146, 0.2255),
    "normal": (14.6146, 0.0292),
    "karras": (14.6146, 0.0292),
    "exponential": (14.6146, 0.0292),
    "ddim_uniform": (11.0283, 0.0413),
    "beta": (14.6146, 0.1114),
    "linear_quadratic": (14.6146, 2.6745),
    "kl_optimal": (14.6146, 0.0292),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_ends_are_the_known_ones(name: str) -> None:
    sigmas = SCHEDULES[name](LEVELS, 20)
    assert (round(sigmas[0], 4), round(sigmas[-2], 4)) == FIXED_POINTS[name]


@pytest.mark.parametrize("case", GOLDEN)
def test_tables_are_the_golden_ones(case: str) -> None:
    name, steps = case.split("/")
    assert SCHEDULES[name](LEVELS, int(steps)) == pytest.approx(GOLDEN[case], rel=1e-10)


def test_every_schedule_has_golden_tables() -> None:
    assert {case.split("/")[0] for case in GOLDEN} == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 20, 100, 999])
def test_sigmas_fall_and_end_in_zero(name: str, steps: int) -> None:
    sigmas = SCHEDULES[name](LEVELS, steps)
    assert sigmas[-1] == 0.0
    assert all(a > b for a, b in pairwise(sigmas))


def test_ddim_uniform_gives_one_step_more_where_a_thousand_is_not_divisible() -> None:
    assert len(SCHEDULES["ddim_uniform"](LEVELS, 30)) == 32


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own, with this numpy
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("karras", {"use_karras_sigmas": True}),
        ("exponential", {"use_exponential_sigmas": True}),
        ("normal", {"timestep_spacing": "linspace"}),
        ("simple", {"timestep_spacing": "trailing"}),
    ],
)
def test_tables_equal_diffusers(name: str, options: dict[str, Any]) -> None:
    scheduler: Any = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **options
    )
    scheduler.set_timesteps(20)
    tolerance = 1e-3 if name == "normal" else 2e-5  # diffusers interpolates sigma there, not its logarithm
    assert np.allclose(SCHEDULES[name](LEVELS, 20), scheduler.sigmas.numpy(), rtol=tolerance)


def test_timesteps_and_sigmas_are_inverse() -> None:
    assert [LEVELS.timestep(LEVELS.sigma(t)) for t in range(1000)] == list(range(1000))


def test_denoise_below_one_runs_the_end_of_a_longer_schedule() -> None:
    half = Steps(10, "euler", "normal", denoise=0.5).sigmas(LEVELS)
    assert half == SCHEDULES["normal"](LEVELS, 20)[-11:]


def test_denoise_of_zero_has_nothing_to_do() -> None:
    assert Steps(10, denoise=0.0).sigmas(LEVELS) == []


def test_some_samplers_skip_the_level_before_the_last() -> None:
    longer = SCHEDULES["karras"](LEVELS, 11)
    assert Steps(10, "dpm_2", "karras").sigmas(LEVELS) == [*longer[:-2], 0.0]


def test_a_schedule_cut_at_its_end_keeps_or_drops_the_noise_left() -> None:
    whole = SCHEDULES["normal"](LEVELS, 10)
    assert Steps(10, end=4, to_zero=False).sigmas(LEVELS) == whole[:5]
    assert Steps(10, end=4, to_zero=True).sigmas(LEVELS) == [*whole[:4], 0.0]


def test_a_schedule_may_start_late_or_after_its_end() -> None:
    assert Steps(10, start=4).sigmas(LEVELS) == SCHEDULES["normal"](LEVELS, 10)[4:]
    assert len(Steps(10, start=10).sigmas(LEVELS)) < 2
