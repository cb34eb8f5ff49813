"""Tiles cover everything, blend their seams, and change nothing that is computed cell by cell."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from engine.tensors.tiles import Tiling, tiled


def enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=4, mode="nearest") * 2 + 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 12), st.integers(0, 11))
def test_what_is_computed_cell_by_cell_is_the_same_as_in_one_piece(h: int, w: int, size: int, overlap: int) -> None:
    x = torch.rand(2, 3, h, w)
    tiling = Tiling(size, min(overlap, size - 1), factor_out=4)
    assert torch.allclose(tiled(x, tiling, enlarged), enlarged(x), atol=1e-6)


def test_shrinking_works_alike() -> None:
    x = torch.rand(1, 3, 40, 24)
    assert torch.allclose(tiled(x, Tiling(4, 1, factor_in=4), lambda p: F.avg_pool2d(p, 4)), F.avg_pool2d(x, 4))


def test_no_tile_is_larger_than_asked_and_each_is_reported() -> None:
    sizes, heard = [], []

    def same(part: Tensor) -> Tensor:
        sizes.append(tuple(part.shape[-2:]))
        return part

    tiled(torch.rand(1, 1, 20, 9), Tiling(8, 2), same, lambda done, total: heard.append((done, total)))
    assert set(sizes) == {(8, 8)}
    assert heard == [(n, 6) for n in range(1, 7)]


@pytest.mark.parametrize(("overlap", "steepest"), [(0, 1.0), (8, 0.13)])
def test_seams_are_blended_over_the_overlap(overlap: int, steepest: float) -> None:
    answers = iter([0.0, 1.0])
    out = tiled(torch.zeros(1, 1, 4, 32 - overlap), Tiling(16, overlap), lambda p: torch.full_like(p, next(answers)))
    steps = out[0, 0, 0].diff()
    assert (steps >= 0).all()
    assert steps.max() == pytest.approx(steepest, abs=0.01)
