"""Guidance by attention against the papers' formulas in epsilon, with diffusers' UNet as the net."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0, PAGIdentitySelfAttnProcessor2_0
from torch import Tensor, nn
from torch.nn import functional as F

from engine.diffusion.attention_rules import GuidanceError, PerturbedAttention, SelfAttention, blurred
from engine.diffusion.combining import Rule
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance
from engine.diffusion.predictions import FLOW
from engine.foundation.bounds import BoundsError
from engine.models.nets.unet_patches import FreeU, Tiled
from engine.tensors.values import Area, Conditioning
from tests.unit.diffusion.nets import noise, prompt, twins

X, SIGMA, SCALE = noise(2, 4, 16, 16), 1.7, 4.0
POSITIVE, NEGATIVE = prompt(1), prompt(2)
MIDDLE = "mid_block.attentions.0.transformer_blocks.0.attn1"


class Keeping(AttnProcessor2_0):
    """Attention as usual that keeps its map `(B, heads, N, N)`."""

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        q, k = attn.head_to_batch_dim(attn.to_q(hidden_states)), attn.head_to_batch_dim(attn.to_k(hidden_states))
        self.kept = attn.get_attention_scores(q, k).unflatten(0, (len(hidden_states), -1))
        return super().__call__(attn, hidden_states, *args, **kwargs)


@pytest.fixture(scope="module")
def pair() -> tuple[Denoiser, Any]:
    return twins()


def guided(denoiser: Denoiser, *rules: Rule, x: Tensor = X, negative: Conditioning = NEGATIVE) -> Tensor:
    for rule in rules:
        denoiser = denoiser.with_rule(rule)
    return ClassifierFreeGuidance(denoiser, POSITIVE, negative, SCALE).denoise(x, SIGMA)


def epsilon(oracle: Any, denoiser: Denoiser, x: Tensor, conditioning: Conditioning, repeat: int = 1) -> Tensor:
    time = torch.full((len(x) * repeat,), denoiser.levels.timestep(SIGMA))
    tokens = conditioning.prompts[0].tokens.expand(len(time), -1, -1)
    answer: Tensor = oracle((x / math.sqrt(1 + SIGMA**2)).repeat(repeat, 1, 1, 1), time, tokens).sample
    return answer


def gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def test_perturbed_attention_equals_the_paper_with_diffusers_net(pair: tuple[Denoiser, Any]) -> None:
    denoiser, oracle = pair
    positive, negative = (epsilon(oracle, denoiser, X, side) for side in (POSITIVE, NEGATIVE))
    oracle.get_submodule(MIDDLE).set_processor(PAGIdentitySelfAttnProcessor2_0())
    perturbed = epsilon(oracle, denoiser, X, POSITIVE, repeat=2).chunk(2)[1]
    oracle.get_submodule(MIDDLE).set_processor(AttnProcessor2_0())
    expected = negative + SCALE * (positive - negative) + 2.5 * (positive - perturbed)
    assert gap(guided(denoiser, PerturbedAttention(2.5)), X - SIGMA * expected) < 1e-4
    assert gap(positive, perturbed) > 1e-3


def test_self_attention_equals_the_paper_with_diffusers_net(pair: tuple[Denoiser, Any]) -> None:
    denoiser, oracle = pair
    positive = epsilon(oracle, denoiser, X, POSITIVE)
    oracle.get_submodule(MIDDLE).set_processor(keeping := Keeping())
    negative = epsilon(oracle, denoiser, X, NEGATIVE)
    oracle.get_submodule(MIDDLE).set_processor(AttnProcessor2_0())
    mask = (keeping.kept.mean(1).sum(1) > 1.0).float().reshape(2, 1, 4, 4)
    mask = F.interpolate(mask, (16, 16))
    clean = X - SIGMA * negative
    degraded = whole_blur(clean, 1.3) * mask + clean * (1 - mask)
    away = epsilon(oracle, denoiser, degraded + SIGMA * negative, NEGATIVE)
    expected = negative + SCALE * (positive - negative) + 0.75 * (negative - away)
    assert gap(guided(denoiser, SelfAttention(0.75, 1.3)), X - SIGMA * expected) < 1e-4
    assert 0 < mask.mean() < 1
    assert gap(negative, away) > 1e-3


def whole_blur(x: Tensor, sigma: float) -> Tensor:
    """A blur by one two-dimensional window of nine by nine."""
    window = torch.exp(-0.5 * (torch.arange(-4, 5) / sigma) ** 2)
    window = (window[:, None] * window[None]) / window.sum() ** 2
    return F.conv2d(F.pad(x, (4, 4, 4, 4), mode="reflect"), window.expand(x.shape[1], 1, 9, 9), groups=x.shape[1])


def test_blurring_in_two_passes_equals_one_window() -> None:
    assert gap(blurred(X, 2.0), whole_blur(X, 2.0)) < 1e-5


def test_blurring_keeps_what_is_flat_and_works_on_few_cells() -> None:
    assert gap(blurred(torch.ones(1, 4, 3, 1), 2.0), torch.ones(1, 4, 3, 1)) < 1e-6


@pytest.mark.parametrize("rule", [PerturbedAttention(0.0), SelfAttention(0.0), SelfAttention(1.0, 0.0)])
def test_identity_settings_change_no_bit(pair: tuple[Denoiser, Any], rule: Rule) -> None:
    assert torch.equal(guided(pair[0], rule), guided(pair[0]))


@pytest.mark.parametrize("rule", [PerturbedAttention(2.0), SelfAttention(1.0)])
def test_a_sample_gives_the_same_alone_and_in_a_batch(pair: tuple[Denoiser, Any], rule: Rule) -> None:
    assert gap(guided(pair[0], rule, x=X[1:]), guided(pair[0], rule)[1:]) < 1e-4


@pytest.mark.parametrize("rule", [PerturbedAttention(2.0), SelfAttention(1.0)])
def test_patched_and_flow_models_are_guided_too(pair: tuple[Denoiser, Any], rule: Rule) -> None:
    patched = pair[0].with_patches(FreeU((1.1, 1.2), (0.9, 0.2)), Tiled(32, 2, 5))
    assert gap(guided(patched, rule), guided(patched)) > 1e-3
    flowing = replace(pair[0], prediction=FLOW)
    assert guided(flowing, rule).isfinite().all()
    assert gap(guided(flowing, rule), guided(flowing)) > 1e-3


def test_a_net_without_attention_in_its_middle_is_refused(pair: tuple[Denoiser, Any]) -> None:
    denoiser, _ = twins((32, 64))
    with denoiser.net.lease() as net:
        net.middle_block = type(net.middle_block)(net.middle_block[0], nn.Identity(), net.middle_block[2])
    with pytest.raises(GuidanceError, match="no self-attention in its middle"):
        guided(denoiser, SelfAttention(1.0))


def test_a_negative_with_areas_is_refused(pair: tuple[Denoiser, Any]) -> None:
    area = replace(NEGATIVE.prompts[0], area=Area(64, 64, 0, 0))
    with pytest.raises(GuidanceError, match=r"input negative: .*several parts"):
        guided(pair[0], SelfAttention(1.0), negative=Conditioning((NEGATIVE.prompts[0], area)))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -3.0])
def test_scales_that_make_no_sense_are_refused(wrong: float) -> None:
    for make in (PerturbedAttention, SelfAttention, lambda value: SelfAttention(1.0, value)):
        with pytest.raises(BoundsError, match="input "):
            make(wrong)
