"""DPM-Solver's samplers equal k-diffusion's, their errors fall as they should, and bad input is refused."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.diffusion.samplers import SamplerError
from engine.diffusion.samplers.dpm_solver import Control, dpm_adaptive, dpm_fast
from engine.diffusion.samplers.dpmpp import (
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_2s_ancestral,
    dpmpp_3m_sde,
    dpmpp_sde,
)
from engine.diffusion.samplers.euler import euler_ancestral
from engine.diffusion.samplers.multistep import lms
from tests.unit.diffusion.toys import finish, gaussian, gaussian_flow, karras, nonlinear, points, seeded

GOLDEN = np.load(Path(__file__).parents[2] / "data" / "golden" / "samplers.npz")
TIGHT = Control(rtol=0.003, atol=1e-4, h_init=4.0, pcoeff=0.2, icoeff=0.7, dcoeff=0.1)
ANCESTRAL = {"eta": 0.6, "s_noise": 0.8}
SETTINGS: dict[str, Any] = {
    "dpm_adaptive_order2": partial(dpm_adaptive, control=Control(order=2)),
    "dpm_adaptive_pid": partial(dpm_adaptive, control=TIGHT),
    "dpm_adaptive_eta": partial(dpm_adaptive, control=Control(rtol=0.01, atol=1e-3), eta=0.7, s_noise=0.9),
    "euler_ancestral": partial(euler_ancestral, **ANCESTRAL),
    "dpmpp_2s_ancestral": partial(dpmpp_2s_ancestral, **ANCESTRAL),
    "dpmpp_sde": partial(dpmpp_sde, **ANCESTRAL, r=0.3),
    "dpmpp_2m_sde": partial(dpmpp_2m_sde, **ANCESTRAL),
    "dpmpp_2m_sde_heun": partial(dpmpp_2m_sde_heun, **ANCESTRAL),
    "dpmpp_3m_sde": partial(dpmpp_3m_sde, **ANCESTRAL),
    "lms": lambda x, sigmas, _noise: lms(x, sigmas[:-1], order=2),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_do_what_they_do_in_k_diffusion(case: str) -> None:
    x, sigmas = points(16).reshape(2, 2, 2, 2), karras(12)
    end = finish(SETTINGS[case](x, sigmas, seeded(x)), nonlinear)
    assert torch.allclose(end.flatten(), torch.from_numpy(GOLDEN[f"settings/{case}"]), atol=1e-10)


@pytest.mark.parametrize(("counts", "order"), [((37, 79), 2), ((38, 80), 3), ((39, 78), 2)])
def test_the_error_of_fast_falls_with_the_order_of_its_last_step(counts: tuple[int, int], order: int) -> None:
    errors = []
    for count in counts:
        x = points() / 14.6 * 2
        end = finish(dpm_fast(x, np.geomspace(2.0, 0.2, count + 1).tolist()), gaussian)
        errors.append(float((end - gaussian_flow(x, 2.0, 0.2)).abs().max()))
    steps = [count // 3 + 1 for count in counts]
    assert math.log(errors[0] / errors[1]) / math.log(steps[1] / steps[0]) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 20])
def test_fast_takes_as_many_evaluations_as_steps_were_asked_for(count: int) -> None:
    log: list[Tensor] = []
    finish(dpm_fast(points(4), karras(count)), nonlinear, log)
    assert len(log) == count


@pytest.mark.parametrize("order", [2, 3])
def test_adaptive_errs_less_the_tighter_its_tolerance(order: int) -> None:
    x = points()
    errors = []
    for tolerance in (1e-2, 1e-3, 1e-4):
        control = Control(order=order, rtol=tolerance, atol=tolerance / 10)
        end = finish(dpm_adaptive(x, karras(20), control=control), gaussian)
        errors.append(float((end - gaussian_flow(x, 14.6, 0.03)).abs().max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_adaptive_with_noise_gives_the_moments_of_a_gaussian(eta: float) -> None:
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * math.hypot(14.6, 0.7)
    control = Control(rtol=1e-3, atol=1e-4)
    end = finish(dpm_adaptive(x, karras(20), seeded(x), control=control, eta=eta), gaussian)
    assert float(end.std()) == pytest.approx(0.7, rel=0.03)
    assert abs(float(end.mean())) < 0.03


def test_both_go_up_to_noise_and_back() -> None:
    x, sigmas = points(8) / 14.6, karras(60)[:-1]
    control = Control(rtol=1e-4, atol=1e-5)
    for sampler in (dpm_fast, partial(dpm_adaptive, control=control)):
        noise = finish(sampler(x, sigmas[::-1]), gaussian)
        assert torch.allclose(finish(sampler(noise, sigmas), gaussian), x, atol=1e-2)


@pytest.mark.parametrize("sigmas", [[], [1.0], [1.0, 0.0]])
@pytest.mark.parametrize("sampler", [dpm_fast, dpm_adaptive])
def test_a_row_without_room_for_levels_is_refused(sampler: Any, sigmas: list[float]) -> None:
    with pytest.raises(SamplerError, match="no room") as refused:
        next(sampler(points(4), sigmas))
    assert refused.value.expected == "two or more"


def test_adaptive_refuses_noise_on_the_way_up() -> None:
    x = points(4)
    with pytest.raises(SamplerError, match="sigma rises"):
        next(dpm_adaptive(x, [0.1, 1.0], seeded(x), eta=1.0))


@pytest.mark.parametrize("broken", [lambda x, sigma: x * math.nan, lambda x, sigma: x * sigma * 1e300])
def test_adaptive_stops_where_no_step_is_small_enough(broken: Any) -> None:
    with pytest.raises(SamplerError, match="no step is small enough"):
        finish(dpm_adaptive(points(4), karras(5)), broken)


def test_adaptive_stops_where_nothing_is_tolerated() -> None:
    with pytest.raises(SamplerError, match="no step is small enough"):
        finish(dpm_adaptive(points(4), karras(5), control=Control(rtol=0.0, atol=0.0)), nonlinear)
