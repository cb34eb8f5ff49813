"""Prompts of different length and area share calls of the net, as few as the bytes for one call allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.attention_rules import PerturbedAttention, SelfAttention
from engine.diffusion.combining import Rule
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.guidance import ClassifierFreeGuidance, estimates
from engine.memory.budget import CallBudget
from engine.models.nets.unet_patches import FreeU, Merged, Tiled
from engine.tensors.values import Area, Conditioning
from tests.unit.diffusion.nets import noise, prompt, twins

WIDE = torch.float64
X, SIGMA = noise(3, 4, 16, 16, dtype=WIDE), 1.7


def placed(seed: int, length: int, *box: int) -> Conditioning:
    (whole,) = prompt(seed, length, WIDE).prompts
    return Conditioning((replace(whole, area=Area(*box)),))


WHOLE, LONG, ODD = prompt(1, 5, WIDE), prompt(2, 10, WIDE), prompt(3, 7, WIDE)
LEFT, RIGHT = placed(4, 5, 128, 64, 0, 0), placed(5, 10, 128, 64, 0, 64)
SIDES = [Conditioning(WHOLE.prompts + LEFT.prompts + RIGHT.prompts), LONG, ODD]


@pytest.fixture(scope="module")
def model() -> Denoiser:
    return twins(dtype=WIDE)[0]


@contextmanager
def calls(model: Denoiser) -> Iterator[list[int]]:
    """The rows of each call of the net."""
    rows: list[int] = []
    with model.net.lease() as net:
        hook = net.register_forward_pre_hook(lambda _net, inputs: rows.append(len(inputs[0])))
    try:
        yield rows
    finally:
        hook.remove()


def row_bytes(model: Denoiser, side: int, tokens: int, width: int | None = None) -> int:
    with model.net.lease() as net:
        return net.config.activations(side, width or side, tokens) * 8


def test_without_bounds_there_is_a_call_for_each_size_and_kind_of_length(model: Denoiser) -> None:
    with calls(model) as rows:
        estimates(model, X, SIGMA, SIDES)
    assert sorted(rows) == [3, 6, 6]


@pytest.mark.parametrize("fitting", [0, 1, 2, 3, 4, 5, 6, 7, 99])
def test_bounds_change_no_estimate_and_calls_are_as_few_as_they_allow(model: Denoiser, fitting: int) -> None:
    a_row = row_bytes(model, 16, 10)  # the largest there is
    expected = estimates(model, X, SIGMA, SIDES)
    with calls(model) as rows:
        got = estimates(replace(model, budget=CallBudget(fitting * a_row)), X, SIGMA, SIDES)
    assert all(torch.allclose(*pair, atol=1e-12) for pair in zip(got, expected, strict=True))
    small = fitting * a_row // row_bytes(model, 16, 10, 8)
    odd = fitting * a_row // row_bytes(model, 16, 7)
    assert len(rows) == sum(-(-count // max(1, fit)) for count, fit in ((6, fitting), (6, small), (3, odd)))


def guided(model: Denoiser) -> Tensor:
    return ClassifierFreeGuidance(model, SIDES[0], LONG, 4.0).denoise(X, SIGMA)


@pytest.mark.parametrize(
    "change", [PerturbedAttention(2.0), SelfAttention(1.0), FreeU((1.1, 1.2), (0.9, 0.2)), Tiled(32), Merged(0.4)]
)
def test_rules_and_patches_do_not_notice_bounds(model: Denoiser, change: Any) -> None:
    changed = model.with_rule(change) if isinstance(change, Rule) else model.with_patches(change)
    expected = guided(changed)
    for fitting in (1, 2, 4):
        bounded = replace(changed, budget=CallBudget(fitting * row_bytes(model, 16, 10)))
        assert torch.allclose(guided(bounded), expected, atol=1e-12)
