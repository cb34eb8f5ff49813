"""Guidance, areas, masks, ranges and strengths, with a denoiser whose answer is its prompt's number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.diffusion.combining import CLASSIFIER_FREE, Rules
from engine.diffusion.denoiser import Answer, LatentFormat
from engine.diffusion.extras import NO_EXTRAS, NetExtras
from engine.diffusion.guidance import ClassifierFreeGuidance, estimates
from engine.diffusion.parameterisation import NoiseLevels, scaled_linear
from engine.diffusion.predictions import EPSILON, Parameterisation
from engine.diffusion.regions import AreaError
from engine.tensors.values import Area, Conditioning, Mask, Prompt
from nodes.conditioning import (
    average,
    combine,
    concat,
    set_area,
    set_area_percentage,
    set_area_percentage_video,
    set_area_strength,
    set_mask,
    set_range,
    zero_out,
)

X = torch.zeros(1, 4, 32, 32)


@dataclass
class Numbers:
    """Answers every cell with the mean of the tokens it is given, and counts its calls."""

    levels: NoiseLevels = field(default_factory=scaled_linear)
    latents: LatentFormat = field(default_factory=LatentFormat)
    extras: NetExtras = NO_EXTRAS
    embedded_scale: float | None = None
    prediction: Parameterisation = EPSILON
    guidance: Rules = CLASSIFIER_FREE
    counts_tokens: bool = False
    calls: int = 0
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def answer(self, x: Tensor, sigma: float, tokens: Tensor, **_: Any) -> Answer:
        self.calls += 1
        self.shapes.append(tuple(x.shape))
        return Answer(tokens.mean(dim=(1, 2)).view(-1, 1, 1, 1).expand_as(x).clone())


def says(number: float, length: int = 77, **options: Any) -> Conditioning:
    return Conditioning((Prompt(torch.full((1, length, 8), number), **options),))


def estimate(conditioning: Conditioning, sigma: float = 1.0, denoiser: Any = None) -> Tensor:
    (result,) = estimates(denoiser or Numbers(), X, sigma, [conditioning])
    return result[0, 0]


def test_guidance_extrapolates_from_the_negative() -> None:
    guided = ClassifierFreeGuidance(Numbers(), says(3.0), says(1.0), 2.5).denoise(X, 1.0)  # type: ignore[arg-type]
    assert torch.allclose(guided, torch.full_like(X, 1 + 2.5 * 2))


def test_at_scale_one_the_negative_is_not_computed() -> None:
    numbers = Numbers()
    ClassifierFreeGuidance(numbers, says(3.0), says(1.0), 1.0).denoise(X, 1.0)  # type: ignore[arg-type]
    assert numbers.shapes == [(1, 4, 32, 32)]


def test_both_sides_share_one_call_even_if_their_lengths_differ() -> None:
    numbers = Numbers()
    long = says(1.0, length=154)
    ClassifierFreeGuidance(numbers, says(3.0), long, 2.0).denoise(X, 1.0)  # type: ignore[arg-type]
    assert numbers.shapes == [(2, 4, 32, 32)]


def test_lengths_that_would_repeat_too_often_go_apart() -> None:
    numbers = Numbers()
    estimates(numbers, X, 1.0, [says(1.0, 77 * 5), says(2.0, 77 * 4)])  # type: ignore[arg-type]
    assert numbers.calls == 2


def test_combined_prompts_are_averaged_by_strength() -> None:
    both = combine(says(1.0), set_area_strength(says(5.0), 3.0))
    assert torch.allclose(estimate(both), torch.full((32, 32), (1 + 3 * 5) / 4))


def test_an_area_counts_inside_only_and_fades_in_at_its_inner_edges() -> None:
    row = estimate(combine(says(0.0), set_area(says(1.0), width=128, height=256, x=128, y=0)))[0]
    assert row[:16].abs().max() == 0
    ramp = torch.tensor([0.25, 0.5, 0.75, 1.0])
    assert torch.allclose(row[16:20], ramp / (1 + ramp))
    assert torch.allclose(row[20:], torch.full((12,), 0.5))


def test_fractions_and_pixels_mean_the_same_area() -> None:
    in_pixels = combine(says(0.0), set_area(says(1.0), width=128, height=64, x=64, y=128))
    in_fractions = combine(says(0.0), set_area_percentage(says(1.0), width=0.5, height=0.25, x=0.25, y=0.5))
    assert torch.equal(estimate(in_pixels), estimate(in_fractions))


def test_an_area_of_a_video_counts_in_its_frames_only_and_fades_over_them() -> None:
    prompts = combine(says(0.0), set_area_percentage_video(says(1.0), width=0.5, temporal=0.5, z=0.25))
    (video,) = estimates(Numbers(), torch.zeros(16, 4, 32, 32), 1.0, [prompts])  # type: ignore[list-item,arg-type]
    frames = video[:, 0, 0, 0]
    assert torch.allclose(frames, torch.tensor([0] * 4 + [1 / 3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1 / 3] + [0] * 4))
    assert video[..., 16:].abs().max() == 0


def test_a_video_area_of_all_frames_is_one_of_pictures() -> None:
    area = {"width": 0.5, "height": 0.25, "x": 0.25, "y": 0.5}
    over_time, still = (
        combine(says(0.0), set_in(says(1.0), **area)) for set_in in (set_area_percentage_video, set_area_percentage)
    )
    assert torch.equal(estimate(over_time), estimate(still))


def test_an_area_behind_the_last_frame_is_refused() -> None:
    with pytest.raises(AreaError, match=r"input z of its area: .* expected below 1, got 1"):
        estimate(set_area_percentage_video(says(1.0), temporal=0.5, z=1.0))


def test_the_net_sees_only_the_area() -> None:
    numbers = Numbers()
    estimate(set_area(says(1.0), width=64, height=128), denoiser=numbers)
    assert numbers.shapes == [(1, 4, 16, 8)]


def test_an_area_beyond_the_canvas_is_cut() -> None:
    assert estimate(says(2.0, area=Area(9999, 9999, 240, 240)))[-1, -1] == 2.0


@pytest.mark.parametrize(
    ("area", "words"),
    [
        (Area(64, 64, 256, 0), "got 0, 256 pixels"),
        (Area(64, 64, 0, 9999), "expected below 256, 256 pixels"),
        (Area(0.5, 0.5, 0.0, 1.0, "fractions"), "expected below 1"),
    ],
)
def test_an_area_outside_the_canvas_is_refused(area: Area, words: str) -> None:
    with pytest.raises(AreaError, match=words):
        estimate(says(2.0, area=area))


def test_a_mask_of_any_size_weighs_each_cell() -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    out = estimate(combine(says(0.0), set_mask(says(1.0), Mask(mask), 3.0, set_cond_area="default")))
    assert torch.allclose(out[:, :15], torch.zeros(32, 15))
    assert torch.allclose(out[:, 17:], torch.full((32, 15), 0.75))


@pytest.mark.parametrize(("masks", "batch"), [(3, 2), (2, 1), (2, 5)])
def test_masks_of_another_number_than_latents_are_taken_in_turn(masks: int, batch: int) -> None:
    mask = torch.arange(1.0, masks + 1).view(-1, 1, 1).expand(masks, 20, 40) / masks
    both = combine(says(0.0), set_mask(says(1.0), Mask(mask), set_cond_area="default"))
    (result,) = estimates(Numbers(), torch.zeros(batch, 4, 32, 32), 1.0, [both])  # type: ignore[arg-type]
    shares = torch.tensor([mask[row % masks, 0, 0] for row in range(batch)])
    assert torch.allclose(result[:, 0, 5, 5], shares / (1 + shares))


def test_a_mask_of_nothing_is_named() -> None:
    with pytest.raises(AreaError, match="empty"):
        estimate(set_mask(says(1.0), Mask(torch.zeros(0, 64, 64)), set_cond_area="default"))


def test_mask_bounds_let_the_net_see_only_the_box_about_the_mask() -> None:
    numbers = Numbers()
    mask = torch.zeros(1, 32, 32)
    mask[:, 10:22, 3:5] = 1
    estimate(set_mask(says(1.0), Mask(mask), set_cond_area="mask bounds"), denoiser=numbers)
    assert numbers.shapes == [(1, 4, 12, 8)]


@pytest.mark.parametrize(("sigma", "expected"), [(14.6, 1.0), (0.05, 2.0)])
def test_ranges_divide_the_sampling(sigma: float, expected: float) -> None:
    both = combine(set_range(says(1.0), 0.0, 0.5), set_range(says(2.0), 0.5, 1.0))
    assert float(estimate(both, sigma).mean()) == expected


def test_cells_that_no_prompt_is_about_are_zero() -> None:
    assert estimate(set_range(says(1.0), 0.5, 1.0), 14.6).abs().max() == 0


def test_concat_puts_tokens_behind_each_other() -> None:
    joined = concat(combine(says(1.0), says(2.0)), says(7.0, 154)).prompts
    assert [prompt.tokens.shape[1] for prompt in joined] == [231, 231]
    assert joined[1].tokens[0, [0, -1], 0].tolist() == [2.0, 7.0]


def test_average_mixes_tokens_and_pooled_states() -> None:
    first = says(1.0, pooled=torch.ones(1, 3))
    second = says(5.0, length=154, pooled=torch.zeros(1, 3))
    (mixed,) = average(first, second, 0.75).prompts
    assert mixed.tokens.shape == (1, 77, 8)
    assert torch.allclose(mixed.tokens, torch.full((1, 77, 8), 2.0))
    assert mixed.pooled is not None
    assert mixed.pooled.tolist() == [[0.75] * 3]


def test_zeroing_out_keeps_the_shape() -> None:
    (zeroed,) = zero_out(says(3.0, pooled=torch.ones(1, 3))).prompts
    assert zeroed.tokens.shape == (1, 77, 8)
    assert not zeroed.tokens.any()
