"""Properties set in one go, pairs, and defaults that fill what others leave."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.denoiser import Answer, LatentFormat
from engine.diffusion.extras import NO_EXTRAS
from engine.diffusion.guidance import estimates
from engine.diffusion.parameterisation import scaled_linear
from engine.tensors.values import Conditioning, Mask, Prompt
from nodes.conditioning import combine, set_area, set_mask
from nodes.conditioning import set_range as with_range
from nodes.hooks import (
    HookError,
    TimestepsRange,
    combine_pairs,
    set_default,
    set_pair_default,
    set_pair_properties,
    set_pair_properties_and_combine,
    set_properties,
    set_properties_and_combine,
    timesteps_range,
)

X = torch.zeros(2, 4, 32, 32)


class Numbers:
    """A denoiser whose estimate is the mean of its tokens."""

    levels = scaled_linear()
    latents = LatentFormat()
    extras = NO_EXTRAS
    counts_tokens = False

    def answer(self, x: Tensor, sigma: float, tokens: Tensor, **_: Any) -> Answer:
        return Answer(tokens.mean(dim=(1, 2)).view(-1, 1, 1, 1).expand_as(x).clone())


def says(number: float, **options: Any) -> Conditioning:
    return Conditioning((Prompt(torch.full((1, 77, 8), float(number)), **options),))


def estimate(conditioning: Conditioning, sigma: float = 1.0) -> Tensor:
    return estimates(Numbers(), X, sigma, [conditioning])[0][0, 0]  # type: ignore[arg-type]


def half(value: float = 1.0) -> Mask:
    mask = torch.zeros(1, 32, 32)
    mask[:, :, 16:] = value
    return Mask(mask)


def test_a_range_has_a_before_and_an_after() -> None:
    assert timesteps_range(0.2, 0.7) == (TimestepsRange(0.2, 0.7), TimestepsRange(0.0, 0.2), TimestepsRange(0.7, 1.0))


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(HookError, match=r"start_percent and end_percent.*0.7 or more, got 0.2"):
        timesteps_range(0.7, 0.2)


def test_strength_mask_and_range_are_set_at_once() -> None:
    part = TimestepsRange(0.2, 0.7)
    (prompt,) = set_properties(says(1), 2.0, set_cond_area="mask bounds", mask=half(), timesteps=part).prompts
    assert (prompt.strength, prompt.mask_strength, prompt.mask_bounds) == (1.0, 2.0, True)
    assert (prompt.start, prompt.end) == (0.2, 0.7)
    (plain,) = set_properties(says(1), 2.0, set_cond_area="default").prompts
    assert (plain.strength, plain.mask) == (2.0, None)


def test_defaults_leave_a_conditioning_as_it_is() -> None:
    assert torch.equal(estimate(set_properties(says(3), set_cond_area="default")), estimate(says(3)))


def test_pairs_do_for_both_what_single_ones_do() -> None:
    options: dict[str, Any] = {"set_cond_area": "default", "mask": half()}
    one = set_properties_and_combine(says(1), says(2), 0.5, **options)
    both = set_pair_properties_and_combine(says(1), says(1), says(2), says(2), 0.5, **options)
    assert all(torch.equal(estimate(side), estimate(one)) for side in both)
    new = set_pair_properties(says(2), says(2), 0.5, **options)
    joined = combine_pairs(says(1), says(1), *new)
    assert all(torch.equal(estimate(side), estimate(one)) for side in joined)


def test_a_default_fills_what_a_mask_leaves() -> None:
    row = estimate(set_default(set_mask(says(1), half(), set_cond_area="default"), says(5)))[0]
    assert torch.allclose(row, torch.tensor([5.0] * 16 + [1.0] * 16))


def test_a_default_has_no_say_where_others_cover_everything() -> None:
    assert torch.allclose(estimate(set_default(says(1), says(5))), torch.ones(32, 32))
    twice = combine(says(1), says(3))
    assert torch.allclose(estimate(set_default(twice, says(9))), estimate(twice))


def test_a_default_has_the_share_that_a_grey_mask_leaves() -> None:
    row = estimate(set_default(set_mask(says(1), half(0.25), set_cond_area="default"), says(5)))[0]
    assert torch.allclose(row, torch.tensor([5.0] * 16 + [0.25 * 1 + 0.75 * 5] * 16))


def test_a_default_fills_around_an_area_and_blends_into_its_fading_edge() -> None:
    row = estimate(set_default(set_area(says(1), width=128, height=256, x=128, y=0), says(5)))[0]
    ramp = torch.tensor([0.25, 0.5, 0.75, 1.0])
    assert row[:16].tolist() == [5.0] * 16
    assert torch.allclose(row[16:20], ramp * 1 + (1 - ramp) * 5)
    assert torch.allclose(row[20:], torch.ones(12))


@pytest.mark.parametrize(("sigma", "expected"), [(14.6, 5.0), (1.0, 1.0), (0.05, 5.0)])
def test_a_default_fills_the_times_that_others_leave(sigma: float, expected: float) -> None:
    middle = with_range(says(1), 0.3, 0.8)
    assert torch.allclose(estimate(set_default(middle, says(5)), sigma), torch.full((32, 32), expected))


def test_a_default_keeps_its_own_range_and_mask() -> None:
    default = with_range(set_mask(says(5), half(), set_cond_area="default"), 0.5, 1.0)
    filled = set_default(with_range(says(1), 0.0, 0.2), default)
    assert estimate(filled, 5.0).abs().max() == 0
    assert torch.allclose(estimate(filled, 0.05)[0], torch.tensor([0.0] * 16 + [5.0] * 16))


def test_a_default_for_a_batch_of_masks_fills_each_ones_own() -> None:
    masks = Mask(torch.cat([half(), 1 - half()]))
    out = estimates(Numbers(), X, 1.0, [set_default(set_mask(says(1), masks, set_cond_area="default"), says(5))])[0]  # type: ignore[arg-type]
    assert out[:, 0, 0, [0, -1]].tolist() == [[5.0, 1.0], [1.0, 5.0]]


def test_pairs_have_defaults_too() -> None:
    masked = set_mask(says(1), half(), set_cond_area="default")
    positive, negative = set_pair_default(masked, says(2), says(5), says(7))
    assert estimate(positive)[0, [0, -1]].tolist() == [5.0, 1.0]
    assert torch.allclose(estimate(negative), torch.full((32, 32), 2.0))
