"""Samplers where picture and noise are mixed: formulas written again, moments of a Gaussian, and its known flow."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from engine.diffusion.guidance import ClassifierFreeGuidance
from engine.diffusion.parameterisation import flow
from engine.diffusion.samplers import SAMPLERS, SamplerError, SamplerSpec
from engine.diffusion.samplers.evaluate import Sampler
from engine.diffusion.samplers.paths import ADDED, MIXED, ratio_of, share_of
from engine.diffusion.sampling import drive, sample_custom
from engine.diffusion.schedules import SCHEDULES
from engine.tensors.values import Latent
from nodes import samplers as nodes
from nodes.model_sampling import model_sampling_sd3
from tests.unit.diffusion.nets import formula, prompt
from tests.unit.diffusion.toys import SPREAD, finish, seeded

STEPS = pytest.mark.parametrize("steps", [1, 2, 5, 12, 40])
STOCHASTIC = [name for name, spec in SAMPLERS.items() if spec.noise is not None]
DETERMINISTIC = [name for name, spec in SAMPLERS.items() if spec.noise is None]


def shares(steps: int) -> list[float]:
    """A schedule of a flow model: from pure noise to none."""
    return SCHEDULES["simple"](flow(2.0), steps)


def curved(x: Tensor, sigma: float) -> Tensor:
    """A smooth denoiser of a mixture without a closed form."""
    return torch.tanh(x * (1 - 0.4 * sigma)) * 0.8 + 0.1 * torch.sin(3 * x)


def plainer(x: Tensor, sigma: float) -> Tensor:
    return torch.tanh(x) * (0.5 - 0.1 * sigma)


def of_gaussian(x: Tensor, sigma: float) -> Tensor:
    """The exact denoiser of a mixture of data drawn from N(0, SPREAD^2) with noise."""
    return x * (1 - sigma) * SPREAD**2 / ((1 - sigma) ** 2 * SPREAD**2 + sigma**2)


def noise(count: int = 64) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def mixed(spec: SamplerSpec, x: Tensor, sigmas: list[float]) -> Sampler:
    return spec.begun(x, sigmas, seeded(x), mixes=True)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize(("sigma", "sigma_next"), [(1.0, 0.9), (0.9, 0.2), (0.3, 0.29), (0.1, 0.0)])
def test_a_split_has_the_shares_of_picture_and_noise_of_the_next_level(
    sigma: float, sigma_next: float, eta: float
) -> None:
    split = MIXED.split(sigma, sigma_next, eta)
    assert (1 - split.down) * split.keep == pytest.approx(1 - sigma_next)
    assert math.hypot(split.keep * split.down, split.up) == pytest.approx(sigma_next)
    assert 0 <= split.down <= sigma_next


def rf_step(x: Tensor, denoised: Tensor, sigma: float, sigma_next: float, eta: float, fresh: Tensor | float) -> Tensor:
    """DDIM's equation 12 for shares 1 - sigma and sigma, with the noise that leads to sigma_next^2 / sigma at eta 1."""
    down = sigma_next * (1 - eta + eta * sigma_next / sigma)
    old = down * (1 - sigma_next) / (1 - down)
    predicted = (x - (1 - sigma) * denoised) / sigma
    return (1 - sigma_next) * denoised + old * predicted + math.sqrt(max(0, sigma_next**2 - old**2)) * fresh


@STEPS
@pytest.mark.parametrize("eta", [1.0, 0.6])
def test_euler_ancestral_equals_its_formula(steps: int, eta: float) -> None:
    x = expected = noise()
    fresh = seeded(x)
    for sigma, sigma_next in pairwise(shares(steps)):
        z = fresh(sigma, sigma_next) if sigma_next else 0.0
        expected = rf_step(expected, curved(expected, sigma), sigma, sigma_next, eta, z)
    end = finish(mixed(nodes.sampler_euler_ancestral(eta), x, shares(steps)), curved)
    assert torch.allclose(end, expected, atol=1e-10)


@STEPS
def test_dpmpp_2s_ancestral_equals_algorithm_1_of_its_paper_with_the_shares_of_a_flow(steps: int) -> None:
    x = expected = noise()
    fresh = seeded(x)
    for s, t in pairwise(shares(steps)):
        down = t * t / s
        d = curved(expected, s)
        if down == 0:
            expected = d
            continue
        middle = 0.9999 if s == 1 else 1 / (1 + math.sqrt((1 - s) / s * (1 - down) / down))
        d = curved(middle / s * expected + (1 - middle / s) * d, middle)
        if s == 1:
            at_down = (1 - down) * d + down * expected
        else:
            h = math.log((1 - down) / down) - math.log((1 - s) / s)
            at_down = down / s * expected - (1 - down) * (math.exp(-h) - 1) * d
        keep = (1 - t) / (1 - down)
        expected = keep * at_down + math.sqrt(t**2 - (keep * down) ** 2) * fresh(s, t)
    end = finish(mixed(SAMPLERS["dpmpp_2s_ancestral"], x, shares(steps)), curved)
    assert torch.allclose(end, expected, atol=1e-10)


@STEPS
def test_dpm_2_ancestral_equals_its_formula(steps: int) -> None:
    x = expected = noise()
    fresh = seeded(x)
    for s, t in pairwise(shares(steps)):
        down = t * t / s
        slope = (expected - curved(expected, s)) / s
        if down:
            middle = math.exp((math.log(s) + math.log(down)) / 2)
            half = expected + slope * (middle - s)
            slope = (half - curved(half, middle)) / middle
        expected = expected + slope * (down - s)
        if t:
            keep = (1 - t) / (1 - down)
            expected = keep * expected + math.sqrt(t**2 - (keep * down) ** 2) * fresh(s, t)
    assert torch.allclose(finish(mixed(SAMPLERS["dpm_2_ancestral"], x, shares(steps)), curved), expected, atol=1e-10)


@STEPS
def test_lcm_mixes_its_estimates_with_noise(steps: int) -> None:
    x = expected = noise()
    fresh = seeded(x)
    for sigma, sigma_next in pairwise(shares(steps)):
        expected = curved(expected, sigma)
        if sigma_next:
            expected = (1 - sigma_next) * expected + sigma_next * fresh(sigma, sigma_next)
    assert torch.allclose(finish(mixed(SAMPLERS["lcm"], x, shares(steps)), curved), expected, atol=1e-10)


@STEPS
def test_cfg_pp_noises_the_guided_estimate_by_the_unconditional_one(steps: int) -> None:
    sigmas = shares(steps)
    sigmas[0] = 0.99  # below 0.9999, which stands for 1
    x = expected = noise()
    for s, t in pairwise(sigmas):
        predicted = (expected - (1 - s) * plainer(expected, s)) / s
        expected = (1 - t) * curved(expected, s) + t * predicted
    end = finish(mixed(SAMPLERS["euler_cfg_pp"], x, sigmas), curved, unconditional=plainer)
    assert torch.allclose(end, expected, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in STOCHASTIC if name != "lcm"])  # lcm jumps to means, by design
def test_samples_of_a_gaussian_have_its_moments(name: str) -> None:
    end = finish(mixed(SAMPLERS[name], noise(20_000), shares(150)), of_gaussian)
    assert float(end.std()) == pytest.approx(SPREAD, rel=0.03)
    assert abs(float(end.mean())) < 0.03


@pytest.mark.parametrize("name", [name for name in DETERMINISTIC if name != "dpm_adaptive"])  # it tolerates more
def test_the_flow_of_a_gaussian_ends_where_it_should(name: str) -> None:
    x = noise()
    assert torch.allclose(finish(mixed(SAMPLERS[name], x, shares(400)), of_gaussian), x * SPREAD, atol=0.02)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_of_a_flow_model_asks_for_levels_of_its_own_and_of_the_schedule(name: str) -> None:
    sigmas, asked = shares(9), []

    def noted(x: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return of_gaussian(x, sigma)

    finish(mixed(SAMPLERS[name], noise(), sigmas), noted)
    assert asked[0] == 1.0
    assert all(0 < sigma <= 1 for sigma in asked)
    assert name in {"dpm_adaptive", "dpm_fast"} or set(sigmas[:-1]) <= set(asked)


def test_models_that_add_noise_have_the_plain_form() -> None:
    x, sigmas = noise(), shares(6)
    plain = finish(SAMPLERS["seeds_2"].begun(x, sigmas, seeded(x), mixes=False), curved)
    assert torch.equal(plain, finish(SAMPLERS["seeds_2"].start(x, sigmas, seeded(x)), curved))
    assert not torch.allclose(plain, finish(mixed(SAMPLERS["seeds_2"], x, sigmas), curved))


def test_many_levels_near_pure_noise_stay_apart() -> None:
    x, sigmas = noise(), [1.0, 0.99995, 0.99991, 0.5, 0.0]
    assert torch.isfinite(finish(mixed(SAMPLERS["dpmpp_3m_sde"], x, sigmas), of_gaussian)).all()


def test_sigmas_that_are_no_shares_are_refused() -> None:
    x = noise()
    with pytest.raises(SamplerError, match=r"sigma is the share of the noise.*got 14.6"):
        finish(mixed(SAMPLERS["dpmpp_sde"], x, [14.6, 1.0, 0.0]), of_gaussian)


def test_ratio_and_share_are_inverse_and_the_middle_lies_between() -> None:
    for sigma in (0.0, 0.2, 0.5, 0.999):
        assert share_of(ratio_of(sigma)) == pytest.approx(sigma)
    assert 0.2 < MIXED.middle(0.7, 0.2) < 0.7
    assert MIXED.middle(1.0, 0.2) < 1
    assert ADDED.middle(9.0, 4.0) == 6.0


@pytest.mark.parametrize("name", ["euler_ancestral", "dpmpp_2m_sde", "sa_solver"])
def test_a_job_on_a_flow_model_takes_the_form_for_mixtures(name: str) -> None:
    model = model_sampling_sd3(formula(lambda x, time: (x - of_gaussian(x, time / 1000)) / (time / 1000)))
    guider = ClassifierFreeGuidance(model, prompt(0), prompt(0), 1.0)
    sigmas, latent = SCHEDULES["simple"](model.levels, 200), Latent(torch.zeros(1, 4, 40, 40))
    done, _ = drive(sample_custom(guider, SAMPLERS[name], sigmas, latent, seed=3))
    assert float(done.samples.std()) == pytest.approx(SPREAD, rel=0.04)


def test_the_stretch_of_sa_solvers_noise_is_meant_in_the_models_own_levels() -> None:
    model = model_sampling_sd3(formula(lambda x, _time: x))
    spec = nodes.sampler_sa_solver(model, 1.0, 0.0, 1.0, use_pece=False, simple_order_2=False)
    assert math.isfinite(float(finish(mixed(spec, noise(), shares(9)), of_gaussian).sum()))
    never = nodes.sampler_sa_solver(model, 0.0, 0.0, 1.0, use_pece=False, simple_order_2=False)
    flowing = finish(mixed(never, noise(), shares(60)), of_gaussian)
    assert torch.allclose(flowing, noise() * SPREAD, atol=0.02)
