"""Metrics in closed form, and plots whose ticks are round and whose points lie where they should."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.tensors.metrics import BEST_PSNR, psnr, ssim
from engine.tensors.plots import COLOURS, HEIGHT, LEGEND, WIDTH, Line, Panel, plot, ticks
from engine.tensors.values import Image


def flat(value: float, size: int = 16) -> Image:
    return Image(torch.full((1, size, size, 3), value))


def test_the_signal_to_noise_ratio_of_a_known_error() -> None:
    assert psnr(flat(0.5), flat(0.6)) == pytest.approx(20.0, abs=1e-4)
    assert psnr(flat(0), flat(1)) == 0.0
    assert psnr(flat(0.3), flat(0.3)) == BEST_PSNR


def test_similarity_of_flat_pictures_is_that_of_their_light() -> None:
    expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    assert ssim(flat(0.2), flat(0.8)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [5, 11, 32])
def test_a_picture_is_like_itself_and_less_like_its_negative(size: int) -> None:
    picture = Image(torch.rand(2, size, size, 3, generator=torch.Generator().manual_seed(0)))
    assert ssim(picture, picture) == pytest.approx(1.0)
    assert ssim(picture, Image(1 - picture)) < 0
    assert ssim(picture, flat(0.5, size)) == pytest.approx(ssim(flat(0.5, size), picture))


@given(st.floats(-1e4, 1e4), st.floats(1e-2, 1e6))
def test_ticks_are_even_and_hold_the_range(low: float, span: float) -> None:
    marks = ticks(low, low + span)
    assert marks[0] <= low + span * 1e-6
    assert marks[-1] >= low + span * (1 - 1e-6)
    assert 2 <= len(marks) <= 9
    steps = [b - a for a, b in pairwise(marks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)


def test_ticks_of_a_single_value_still_span_something() -> None:
    assert len(ticks(0.0, 0.0)) >= 2
    assert len(ticks(5.0, 5.0)) >= 2


def colour(text: str) -> torch.Tensor:
    return torch.tensor([int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def found(picture: Image, number: int) -> torch.Tensor:
    """Rows and columns, below the legend, of the pixels in a line's colour."""
    return ((picture[0, LEGEND:] - colour(COLOURS[number])).abs().amax(dim=-1) < 0.02).nonzero()


def test_lines_and_bars_are_drawn_in_their_colours() -> None:
    lines = (Line("a", ((1, 0), (4, 10))), Line("b", ((1, 10), (2, math.nan), (4, 10))))
    panels = [
        Panel("lines", "x", "y", lines),
        Panel("bars", "", "ms", (Line("a", ((1, 4),)), Line("b", ((1, 2),))), bars=True),
    ]
    sheet = plot(panels)
    assert sheet.shape == (1, LEGEND + HEIGHT, 2 * WIDTH, 3)
    assert found(sheet, 0)[:, 0].min() == pytest.approx(found(sheet, 1)[:, 0].min(), abs=2)
    bars = [where[where[:, 1] >= WIDTH] for where in (found(sheet, 0), found(sheet, 1))]
    tall, short = (int(where[:, 0].max() - where[:, 0].min()) for where in bars)
    assert tall == pytest.approx(2 * short, abs=4)


def test_a_single_point_is_drawn() -> None:
    assert len(found(plot([Panel("one", "x", "y", (Line("a", ((3, 0.5),)),))]), 0)) > 20
