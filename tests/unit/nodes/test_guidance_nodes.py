"""Nodes that change how a model is guided, on a small net: the model that was given stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator

import pytest
import torch
from torch import Tensor

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance, DualGuidance
from engine.diffusion.sampling import Evaluation, drive
from engine.foundation.bounds import BoundsError
from engine.tensors.values import Latent
from nodes import guidance as nodes
from nodes.latent_operations import apply_operation_to_guidance, tone_map
from nodes.sampling import ksampler
from tests.unit.diffusion.nets import noise, prompt, twins

POSITIVE, NEGATIVE, EMPTY = prompt(1), prompt(2), prompt(3)
X = noise(2, 4, 8, 8, seed=4)
CHANGES: dict[str, Callable[[Denoiser], Denoiser]] = {
    "RescaleCFG": nodes.rescale_cfg,
    "PerpNeg": lambda model: nodes.perp_neg(model, EMPTY, 0.5),
    "APG": lambda model: nodes.adaptive_projected_guidance(model, 0.2, 1.0, 0.5),
    "CFGNorm": nodes.cfg_norm,
    "CFGZeroStar": nodes.cfg_zero_star,
    "TCFG": nodes.tangential_damping,
    "Epsilon Scaling": nodes.epsilon_scaling,
    "TemporalScoreRescaling": nodes.temporal_score_rescaling,
    "Static Threshold": lambda model: nodes.static_threshold(model, 0.1),
    "VideoLinearCFGGuidance": nodes.video_linear_guidance,
    "VideoTriangleCFGGuidance": nodes.video_triangle_guidance,
    "LatentApplyOperationCFG": lambda model: apply_operation_to_guidance(model, tone_map(0.5)),
    "Dynamic Threshold": lambda model: nodes.dynamic_threshold(model, 0.9, 0.1),
}


@pytest.fixture(scope="module")
def model() -> Denoiser:
    return twins((32, 64))[0]


def guided(model: Denoiser, cfg: float = 5.0) -> Tensor:
    return ClassifierFreeGuidance(model, POSITIVE, NEGATIVE, cfg).denoise(X, 1.5)


@pytest.mark.parametrize("name", CHANGES)
def test_a_rule_changes_the_result_of_the_new_model_only(model: Denoiser, name: str) -> None:
    before = guided(model)
    changed = CHANGES[name](model)
    assert changed.net is model.net
    assert not torch.allclose(guided(changed), before, atol=1e-4)
    assert torch.equal(guided(model), before)


@pytest.mark.parametrize("name", CHANGES)
def test_a_sampling_with_a_rule_repeats_exactly(model: Denoiser, name: str) -> None:
    changed, blank = CHANGES[name](model), Latent(torch.zeros(1, 4, 8, 8))

    def once() -> Tensor:
        options = {"sampler_name": "euler", "scheduler": "karras", "positive": POSITIVE, "negative": NEGATIVE}
        return drive(ksampler(changed, 1, 4, 5.0, latent_image=blank, **options)).samples  # type: ignore[arg-type]

    first = once()
    assert first.isfinite().all()
    assert torch.equal(first, once())


def test_both_ways_to_the_perpendicular_negative_are_the_same(model: Denoiser) -> None:
    guider = nodes.perp_neg_guider(model, POSITIVE, NEGATIVE, EMPTY, 5.0, 0.5)
    assert torch.equal(guider.denoise(X, 1.5), guided(nodes.perp_neg(model, EMPTY, 0.5)))


def test_the_perpendicular_negative_counts_at_scale_one_too(model: Denoiser) -> None:
    changed = guided(nodes.perp_neg(model, EMPTY, 2.0), 1.0)
    assert not torch.allclose(changed, guided(model, 1.0), atol=1e-3)


def test_both_sides_can_be_had_without_any_rule(model: Denoiser) -> None:
    sides = ClassifierFreeGuidance(nodes.rescale_cfg(model), POSITIVE, NEGATIVE, 1.0).sides(X, 1.5)
    assert sides.negative is not None
    assert torch.allclose(sides.positive, guided(model, 1.0), atol=1e-5)
    assert torch.allclose(sides.negative, guided(model, 0.0), atol=1e-5)


def test_rules_hold_in_dual_guidance(model: Denoiser) -> None:
    def dual(model: Denoiser, nested: bool) -> Tensor:
        return DualGuidance(model, POSITIVE, POSITIVE, NEGATIVE, 1.0, 5.0, nested).denoise(X, 1.5)

    changed = nodes.rescale_cfg(model, 1.0)
    for nested in (True, False):
        assert torch.allclose(dual(changed, nested), guided(changed), atol=1e-4)
        assert not torch.allclose(dual(changed, nested), dual(model, nested), atol=1e-2)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_scale_that_is_no_number_is_refused(model: Denoiser, wrong: float) -> None:
    with pytest.raises(BoundsError, match=r"input cfg: .*expected a finite number"):
        ClassifierFreeGuidance(model, POSITIVE, NEGATIVE, wrong)
    with pytest.raises(BoundsError, match="input cfg_conds"):
        DualGuidance(model, POSITIVE, POSITIVE, NEGATIVE, wrong, 1.0)


@pytest.mark.parametrize("sampler", ["euler", "euler_cfg_pp", "heun"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_sampling_with_a_rule_goes_on_the_same_from_any_place_in_its_log(
    model: Denoiser, name: str, sampler: str
) -> None:
    changed, blank, log = CHANGES[name](model), Latent(torch.zeros(1, 4, 8, 8)), list[Tensor]()

    def job() -> Generator[Evaluation, Tensor, Latent]:
        options = {"sampler_name": sampler, "scheduler": "karras", "positive": POSITIVE, "negative": NEGATIVE}
        return ksampler(changed, 1, 3, 4.0, latent_image=blank, **options)  # type: ignore[arg-type, return-value]

    def noted(sampling: Generator[Evaluation, Tensor, Latent]) -> Generator[Evaluation, Tensor, Latent]:
        request = next(sampling)
        while True:
            log.append((yield request))
            try:
                request = sampling.send(log[-1])
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]

    whole = drive(noted(job())).samples
    assert all(torch.equal(drive(job(), log[:prefix]).samples, whole) for prefix in range(len(log) + 1))
