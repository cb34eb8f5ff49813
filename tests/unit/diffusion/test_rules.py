"""Rules of guidance against diffusers or their papers' formulas, on estimates given by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.guiders import adaptive_projected_guidance as apg
from diffusers.guiders import classifier_free_zero_star_guidance as zero_star
from diffusers.guiders import tangential_classifier_free_guidance as tangential
from diffusers.guiders.guider_utils import rescale_noise_cfg
from torch import Tensor

from engine.diffusion.combining import CLASSIFIER_FREE, Combination, Estimates, Rule
from engine.diffusion.rules import (
    AdaptiveProjection,
    DynamicThreshold,
    EpsilonScaling,
    FilteredStep,
    LengthLimit,
    LinearOverFrames,
    PerpendicularNegative,
    Rescaled,
    StaticThreshold,
    TangentialDamping,
    TemporalRescaling,
    TriangleOverFrames,
    ZeroStar,
)
from engine.foundation.bounds import BoundsError
from tests.unit.diffusion.nets import noise, prompt

DOUBLE = torch.float64
SHAPE = (3, 4, 5, 6)
X, POSITIVE, NEGATIVE, EMPTY = (noise(*SHAPE, seed=seed, dtype=DOUBLE) for seed in range(4))
SIGMA, SCALE = 0.7, 6.5


def given(**changes: object) -> Estimates:
    prompts = (prompt(0), prompt(1))
    plain = Estimates(X, SIGMA, 1.0, SCALE, POSITIVE, NEGATIVE, prompts, lambda *_: EMPTY)
    return replace(plain, **changes)  # type: ignore[arg-type]


def guided(*parts: Rule | Combination, **changes: object) -> Tensor:
    rules = CLASSIFIER_FREE
    for part in parts:
        rules = rules.with_part(part)
    return rules.guided(given(**changes))


def gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


PLAIN = NEGATIVE + SCALE * (POSITIVE - NEGATIVE)


def velocity(denoised: Tensor) -> Tensor:
    """v of a variance-preserving model, by its definition alpha * epsilon - sigma * x0 (Salimans and Ho 2022)."""
    alpha = 1 / math.sqrt(1 + SIGMA**2)
    return alpha * (X - denoised) / SIGMA - SIGMA * alpha * denoised


@pytest.mark.parametrize("multiplier", [0.3, 0.7, 1.0])
def test_rescaling_equals_diffusers_on_v(multiplier: float) -> None:
    expected = rescale_noise_cfg(velocity(PLAIN), velocity(POSITIVE), multiplier)
    assert gap(velocity(guided(Rescaled(multiplier))), expected) < 1e-10


def test_rescaling_equals_diffusers_on_the_velocity_of_a_flow() -> None:
    sides = ((X - PLAIN) / SIGMA, (X - POSITIVE) / SIGMA)
    own = guided(Rescaled(0.7), signal=1 - SIGMA)
    assert gap((X - own) / SIGMA, rescale_noise_cfg(*sides, 0.7)) < 1e-10


@pytest.mark.parametrize(("eta", "threshold"), [(1.0, 3.0), (0.0, 0.0), (-0.5, 5.0), (0.3, 50.0)])
def test_adaptive_projection_equals_diffusers(eta: float, threshold: float) -> None:
    expected = apg.normalized_guidance(POSITIVE, NEGATIVE, SCALE - 1, None, eta, threshold, True)
    assert gap(guided(AdaptiveProjection(eta, threshold)), expected) < 1e-10


@pytest.mark.parametrize("momentum", [-0.5, 0.7])
def test_momentum_equals_diffusers_over_several_evaluations(momentum: float) -> None:
    rule, buffer, memory = AdaptiveProjection(0.2, 4.0, momentum), apg.MomentumBuffer(momentum), {}
    for positive in (POSITIVE, EMPTY, X):
        expected = apg.normalized_guidance(positive, NEGATIVE, SCALE - 1, buffer, 0.2, 4.0, True)
        assert gap(guided(rule, positive=positive, memory=memory), expected) < 1e-10


def test_zero_star_equals_diffusers_on_the_velocity() -> None:
    positive, negative = X - POSITIVE, X - NEGATIVE
    share = (positive * negative).flatten(1).sum(1) / ((negative**2).flatten(1).sum(1) + 1e-8)
    oracle = zero_star.cfg_zero_star_scale(positive.flatten(1), negative.flatten(1)).flatten()
    assert gap(share, oracle) < 1e-6  # diffusers computes in single precision
    side = share.view(-1, 1, 1, 1) * negative
    assert gap(guided(ZeroStar()), X - (side + SCALE * (positive - side))) < 1e-10


def test_tangential_damping_equals_diffusers_on_the_noise() -> None:
    own = guided(TangentialDamping(), **{k: v.float() for k, v in _sides().items()})
    expected = tangential.normalized_guidance((X - POSITIVE).float(), (X - NEGATIVE).float(), SCALE)
    assert gap(X.float() - own, expected) < 1e-4  # values up to 30, in single precision
    assert gap(guided(TangentialDamping()), X - expected.double()) < 1e-4


def _sides() -> dict[str, Tensor]:
    return {"x": X, "positive": POSITIVE, "negative": NEGATIVE}


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_the_perpendicular_negative_follows_the_paper(scale: float) -> None:
    own = guided(PerpendicularNegative(prompt(2), scale))
    for row in range(SHAPE[0]):
        toward, away = POSITIVE[row] - EMPTY[row], NEGATIVE[row] - EMPTY[row]
        perpendicular = away - (away * toward).sum() / toward.norm() ** 2 * toward
        assert abs(float((perpendicular * toward).sum())) < 1e-10
        assert gap(own[row], EMPTY[row] + SCALE * (toward - scale * perpendicular)) < 1e-10


def test_a_negative_along_the_positive_takes_nothing_away() -> None:
    own = guided(PerpendicularNegative(prompt(2), 3.0), negative=EMPTY + 0.4 * (POSITIVE - EMPTY))
    assert gap(own, EMPTY + SCALE * (POSITIVE - EMPTY)) < 1e-10


def test_a_positive_like_the_empty_prompt_is_no_division_by_zero() -> None:
    assert guided(PerpendicularNegative(prompt(2)), positive=EMPTY).isfinite().all()


def test_no_cell_is_longer_than_the_positives() -> None:
    own = guided(LengthLimit())
    assert bool((own.norm(dim=1) <= POSITIVE.norm(dim=1) + 1e-6).all())
    assert gap(own / own.norm(dim=1, keepdim=True), PLAIN / PLAIN.norm(dim=1, keepdim=True)) < 1e-6
    assert gap(guided(LengthLimit(0.5)), own / 2) < 1e-10


def test_scaled_epsilon_is_divided_by_its_factor() -> None:
    own = guided(EpsilonScaling(1.01))
    assert gap((X - own) / SIGMA, (X - PLAIN) / SIGMA / 1.01) < 1e-10


@pytest.mark.parametrize("signal", [1.0, 1 - SIGMA])
def test_temporal_rescaling_scales_the_score_by_the_papers_factor(signal: float) -> None:
    own = guided(TemporalRescaling(0.8, 2.0), signal=signal)
    ratio = (signal / SIGMA) ** 2 * 2.0**2
    factor = (ratio + 1) / (ratio / 0.8 + 1)
    assert gap(X - signal * own, factor * (X - signal * PLAIN)) < 1e-10


def test_temporal_rescaling_samples_a_gaussian_at_another_temperature() -> None:
    """The score of N(0, s^2) noised, rescaled by k, is that of N(0, s^2 / k) noised."""
    spread, k = 1.3, 4.0
    exact = X * spread**2 / (spread**2 + SIGMA**2)
    own = guided(TemporalRescaling(k, spread), positive=exact, negative=exact)
    assert gap(own, X * (spread**2 / k) / (spread**2 / k + SIGMA**2)) < 1e-10


def test_dynamic_thresholding_equals_diffusers() -> None:
    oracle = DDIMScheduler(thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1e9)
    assert gap(guided(DynamicThreshold(0.9)), oracle._threshold_sample(PLAIN)) < 1e-10
    assert gap(guided(DynamicThreshold(0.9, 4.0)), 4 * oracle._threshold_sample(PLAIN / 4)) < 1e-10


def test_static_thresholding_cuts() -> None:
    assert torch.equal(guided(StaticThreshold(1.5)), PLAIN.clamp(-1.5, 1.5))


IDENTITIES: list[Rule | Combination] = [
    Rescaled(0.0),
    AdaptiveProjection(1.0, 0.0, 0.0),
    EpsilonScaling(1.0),
    TemporalRescaling(1.0, 3.0),
    StaticThreshold(1e6),
    DynamicThreshold(1.0, 1e6),
]


@pytest.mark.parametrize("part", IDENTITIES)
def test_identity_settings_give_plain_guidance_exactly(part: Rule | Combination) -> None:
    assert torch.equal(guided(part), PLAIN)


EVERY: list[Rule | Combination] = [
    *IDENTITIES,
    Rescaled(0.7),
    PerpendicularNegative(prompt(2)),
    AdaptiveProjection(0.5, 5.0),
    LengthLimit(),
    ZeroStar(),
    TangentialDamping(),
    EpsilonScaling(1.005),
    TemporalRescaling(0.95),
    StaticThreshold(),
    DynamicThreshold(),
]


@pytest.mark.parametrize("part", EVERY)
def test_a_sample_gives_the_same_alone_and_in_a_batch(part: Rule | Combination) -> None:
    alone = {name: side[1:2] for name, side in _sides().items()}
    own = guided(part, **alone, ask=lambda *_: EMPTY[1:2])
    assert gap(own, guided(part)[1:2]) < 1e-10


@pytest.mark.parametrize("part", EVERY)
def test_without_a_negative_the_result_is_finite_and_of_the_same_shape(part: Rule | Combination) -> None:
    own = guided(part, negative=None)
    assert own.shape == X.shape
    assert own.isfinite().all()


def test_rules_run_in_order_and_the_last_combination_counts() -> None:
    both = guided(Rescaled(1.0), StaticThreshold(2.0), EpsilonScaling(1.1), Rescaled(0.0), AdaptiveProjection(0.0))
    step = guided(AdaptiveProjection(0.0)).clamp(-2, 2)
    assert gap(both, X - (X - step) / 1.1) < 1e-10


WRONG: list[Callable[[float], object]] = [
    Rescaled,
    lambda value: PerpendicularNegative(prompt(2), value),
    lambda value: AdaptiveProjection(eta=value),
    lambda value: AdaptiveProjection(norm_threshold=value),
    lambda value: AdaptiveProjection(momentum=value),
    LengthLimit,
    EpsilonScaling,
    TemporalRescaling,
    lambda value: TemporalRescaling(1.0, value),
    StaticThreshold,
    DynamicThreshold,
    lambda value: DynamicThreshold(0.5, value),
]


@pytest.mark.parametrize("make", WRONG)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -11.0])
def test_numbers_that_make_no_sense_are_refused(make: Callable[[float], object], value: float) -> None:
    with pytest.raises(BoundsError, match="input "):
        make(value)


@pytest.mark.parametrize(
    ("rule", "scales"),
    [(LinearOverFrames(1.5), [1.5, 4.0, 6.5]), (TriangleOverFrames(1.5), [1.5, 6.5, 1.5])],
)
def test_frames_have_scales_of_their_own(rule: Combination, scales: list[float]) -> None:
    expected = torch.stack([n + scale * (p - n) for n, p, scale in zip(NEGATIVE, POSITIVE, scales, strict=True)])
    assert gap(guided(rule), expected) < 1e-12
    assert CLASSIFIER_FREE.with_part(rule).needs_negative


@pytest.mark.parametrize("frames", [1, 2, 14, 21, 25])
def test_the_triangle_is_the_published_wave_over_the_frames(frames: int) -> None:
    values = torch.linspace(0, 1, frames)
    wave = 2 * (values - torch.floor(values + 0.5)).abs()  # Voleti et al. 2024, of period 1
    assert torch.allclose(TriangleOverFrames(1.0).shares(frames), wave, atol=1e-6)


def test_a_single_frame_has_the_least_scale() -> None:
    one = {"x": X[:1], "positive": POSITIVE[:1], "negative": NEGATIVE[:1]}
    for rule in (LinearOverFrames(2.0), TriangleOverFrames(2.0)):
        assert gap(guided(rule, **one), NEGATIVE[:1] + 2 * (POSITIVE[:1] - NEGATIVE[:1])) < 1e-12


def test_a_filter_sees_the_step_of_guidance_and_without_a_negative_the_estimate() -> None:
    halved = FilteredStep(lambda step: step / 2)
    assert gap(guided(halved), NEGATIVE + SCALE * (POSITIVE - NEGATIVE) / 2) < 1e-12
    assert gap(guided(halved, negative=None), POSITIVE / 2) < 1e-12
