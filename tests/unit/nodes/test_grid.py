"""Series of values, their pairs, and pictures in grids."""

from __future__ import annotations

import pytest
import torch

from engine.tensors.values import Image
from nodes.grid import SeriesError, numbers, pairs, picture_grid, texts


def picture(value: float, height: int = 40, width: int = 60) -> Image:
    return Image(torch.full((1, height, width, 3), value))


def test_numbers_are_given_as_they_are_and_rounded() -> None:
    assert numbers("1, 2.6;-3\n4e0") == ([1.0, 2.6, -3.0, 4.0], [1, 3, -3, 4])


@pytest.mark.parametrize("wrong", ["1, two", "", " , ", "nan", "1e999", ",".join("1" * 1001)])
def test_what_is_no_series_of_numbers_is_told(wrong: str) -> None:
    with pytest.raises(SeriesError, match="input values"):
        numbers(wrong)


def test_each_line_is_a_text() -> None:
    assert texts(" a \n\n  b, c\n") == ["a", "b, c"]
    with pytest.raises(SeriesError, match=r"input lines.*1 to 1000 values"):
        texts(" \n ")


def test_each_value_meets_each_other_row_by_row() -> None:
    assert pairs([1, 2, 3], ["a", "b"]) == ([1, 2, 3, 1, 2, 3], ["a", "a", "a", "b", "b", "b"])
    with pytest.raises(SeriesError, match="at most 1000 cells, got 1024"):
        pairs(list(range(32)), list(range(32)))


def test_pictures_stand_under_their_labels_row_by_row() -> None:
    greys = [0.0, 0.2, 0.4, 0.6]
    sheet = picture_grid([picture(grey) for grey in greys], "cfg", "", 8, x=[1.5, 2.0], y=["first", "second"])[0]
    height, width = sheet.shape[:2]
    top, left = height - 88, width - 128
    assert top > 0
    assert left > 0
    for grey, (row, column) in zip(greys, [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True):
        cell = sheet[top + row * 48 : top + row * 48 + 40, left + column * 68 : left + column * 68 + 60]
        assert (cell - grey).abs().max() < 1 / 255
    assert sheet[:top, left : left + 60].min() < 0.5  # ink
    assert sheet[top : top + 40, :left].min() < 0.5


def test_without_labels_pictures_stand_in_a_square_and_take_the_size_of_the_first() -> None:
    batch = Image(torch.zeros(3, 40, 60, 3))
    sheet = picture_grid([batch, picture(0.0, 80, 30), Image(torch.zeros(1, 40, 60, 4))], gap=2)[0]
    assert sheet.shape == (40 * 2 + 2, 3 * 60 + 2 * 2, 3)
    assert sheet[42:, 124:].min() == 1.0  # the last place is blank
    assert picture_grid([batch], gap=0, y=["a", "b", "c"]).shape[1] == 120


def test_long_labels_are_cut_and_do_not_widen_their_column() -> None:
    sheet = picture_grid([picture(0.5)], gap=0, x=["a prompt that is much longer than its picture is wide"])
    assert sheet.shape[2] == 60
