"""GITS: its costs against samples and finite differences, its search against trying everything, its steps at work."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.diffusion.parameterisation import scaled_linear
from engine.diffusion.published import ALIGN_YOUR_STEPS
from engine.diffusion.schedules import SCHEDULES, karras_between
from engine.diffusion.trajectories import MOST_STEPS, PLACES, bends, cheapest, falling, gits
from engine.foundation.bounds import BoundsError
from nodes.schedules import gits_schedule

LEVELS = scaled_linear()
COEFFS = st.integers(16, 30).map(lambda twentieths: twentieths / 20)


def distance(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of each row of `points` from the line through `start` and `end`."""
    line = (end - start) / np.linalg.norm(end - start, axis=-1, keepdims=True)
    offset = points - start
    return np.linalg.norm(offset - (offset * line).sum(axis=-1, keepdims=True) * line, axis=-1)


def test_costs_are_those_of_euler_steps_from_sampled_ways() -> None:
    sigmas, variances = np.geomspace(14.6, 0.03, 8), falling(4000, 1.0)
    normal = np.random.default_rng(0).standard_normal((16, 4000))
    way = [normal * np.sqrt(variances + sigma**2) for sigma in sigmas]
    costs = bends(sigmas, variances)
    for i, j in combinations(range(8), 2):
        denoised = way[i] * variances / (variances + sigmas[i] ** 2)
        arrived = way[i] + (way[i] - denoised) / sigmas[i] * (sigmas[j] - sigmas[i])
        expected = distance(arrived, way[0], way[-1]) - distance(way[j], way[0], way[-1])
        assert costs[i, j] == pytest.approx(expected.mean(), abs=0.02 * np.linalg.norm(way[0], axis=1).mean() / 14.6)


@given(st.integers(0, 1000), st.integers(1, 6), COEFFS)
def test_the_search_finds_what_trying_everything_finds(seed: int, steps: int, coeff: float) -> None:
    costs = np.random.default_rng(seed).random((8, 8)) - 0.2

    def total(places: tuple[int, ...]) -> float:
        return sum(coeff**k * costs[i, j] for k, (i, j) in enumerate(pairwise(places)))

    every = [(0, *middle, 7) for middle in combinations(range(1, 7), steps - 1)]
    assert tuple(cheapest(costs, steps, coeff)) == min(every, key=total)


def test_the_first_of_the_papers_steps_for_cifar_10_come_out_and_the_rest_nearly() -> None:
    """With its levels (61 with rho 7, 80 to 0.002), coefficient 1.15; its steps are in the README of its repository."""
    levels = np.array(karras_between(80.0, 0.002, PLACES)[:-1])
    steps = levels[cheapest(bends(levels, falling(3 * 32 * 32, 0.25)), 6, 1.15)]
    theirs = [80.0, 10.9836, 3.8811, 1.584, 0.5666, 0.1698, 0.002]
    assert steps[:4] == pytest.approx(theirs[:4], abs=1e-4)
    assert steps[4:] == pytest.approx(theirs[4:], rel=1.5)


def test_ten_steps_are_near_those_that_another_method_found_for_stable_diffusion() -> None:
    ratios = np.array(gits(1.2, 10)[:-1]) / np.array(ALIGN_YOUR_STEPS["SD1"][:-1])
    assert np.all(np.abs(np.log(ratios)) < np.log(1.75))


@given(COEFFS, st.integers(2, 60), st.floats(0, 1))
def test_any_number_of_steps_falls_from_the_top_to_zero(coeff: float, steps: int, denoise: float) -> None:
    whole, part = (gits_schedule(coeff, steps, share).tolist() for share in (1.0, denoise))
    assert (len(whole), whole[-1]) == (steps + 1, 0.0)
    assert whole[0] == pytest.approx(LEVELS.sigma_max)
    assert all(a > b for a, b in pairwise(whole))
    kept = round(steps * denoise)
    assert part == (whole[-(kept + 1) :] if kept else [])


def test_more_steps_than_were_searched_for_lie_between_those() -> None:
    double = gits(1.2, 2 * MOST_STEPS)
    assert double[:-2:2] == pytest.approx(gits(1.2, MOST_STEPS)[:-1])


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
def test_a_coefficient_that_makes_no_sense_is_refused(wrong: float) -> None:
    with pytest.raises(BoundsError, match="input coeff"):
        gits(wrong, 10)


def test_a_larger_coefficient_gathers_steps_at_low_noise() -> None:
    middles = [gits(coeff, 10)[5] for coeff in (0.8, 1.0, 1.2, 1.5)]
    assert middles == sorted(middles, reverse=True)
    assert middles[0] > 2 * middles[-1]


@pytest.mark.parametrize("steps", [5, 8])
@pytest.mark.parametrize("other", ["normal", "simple", "karras"])
def test_few_euler_steps_come_nearer_to_the_end_of_the_way_than_on_usual_schedules(steps: int, other: str) -> None:
    variances = torch.tensor(falling(4 * 64 * 64, 1.0))
    start = torch.sqrt(variances + LEVELS.sigma_max**2)

    def error(sigmas: list[float]) -> float:
        x = start
        for sigma, sigma_next in pairwise([*sigmas[:-1], LEVELS.sigma_min]):
            x = x + x * sigma / (variances + sigma**2) * (sigma_next - sigma)
        return float((x - torch.sqrt(variances + LEVELS.sigma_min**2)).norm())

    assert error(gits(1.2, steps)) < error(SCHEDULES[other](LEVELS, steps))
