"""Work on a picture in overlapping tiles whose seams are blended, so that memory does not grow with the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Watch: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of `size` cells, neighbours sharing `overlap`; a cell is `factor_in` inputs and `factor_out` outputs.

    Decoding has a factor of 1 going in and the autoencoder's going out, encoding the other way round.
    """

    size: int
    overlap: int
    factor_in: int = 1
    factor_out: int = 1


def tiled(x: Tensor, tiling: Tiling, compute: Callable[[Tensor], Tensor], watch: Watch = lambda _d, _t: None) -> Tensor:
    """`compute` of `x` `(B, C, H, W)` tile by tile.

    Tiles are weighed by ramps over the overlap and divided by the sum of weights. What is computed cell by cell is the
    same as in one piece. `watch` hears how many of the tiles are done.
    """
    height, width = (side // tiling.factor_in for side in x.shape[-2:])
    spans = [(rows, columns) for rows in _spans(height, tiling) for columns in _spans(width, tiling)]
    total: Tensor | None = None
    weights = torch.zeros(height * tiling.factor_out, width * tiling.factor_out)
    for done, (rows, columns) in enumerate(spans, start=1):
        part = compute(x[..., _scaled(rows, tiling.factor_in), _scaled(columns, tiling.factor_in)])
        weight = _ramp(rows, height, tiling)[:, None] * _ramp(columns, width, tiling)
        if total is None:
            total = torch.zeros(*part.shape[:2], *weights.shape, dtype=part.dtype, device=part.device)
        place = (..., _scaled(rows, tiling.factor_out), _scaled(columns, tiling.factor_out))
        total[place] += part * weight.to(part)
        weights[place] += weight
        watch(done, len(spans))
    if total is None:
        raise ValueError(f"nothing to tile in shape {tuple(x.shape)}")
    return total / weights.to(total)


def _spans(length: int, tiling: Tiling) -> Iterable[slice]:
    """Spans of cells that cover `length`; the last one is moved back to end there."""
    size = min(tiling.size, length)
    stride = max(1, tiling.size - tiling.overlap)
    count = 1 + max(0, -(-(length - size) // stride))
    return [slice(start, start + size) for start in (min(n * stride, length - size) for n in range(count))]


def _scaled(span: slice, factor: int) -> slice:
    return slice(span.start * factor, span.stop * factor)


def _ramp(span: slice, length: int, tiling: Tiling) -> Tensor:
    """Weights of the outputs of `span`, rising and falling over the overlap but not at the picture's own edges."""
    weights = torch.ones((span.stop - span.start) * tiling.factor_out)
    steps = min(tiling.overlap * tiling.factor_out, len(weights))
    rising = (torch.arange(steps) + 0.5) / max(steps, 1)
    if span.start > 0:
        weights[:steps] *= rising
    if span.stop < length:
        weights[len(weights) - steps :] *= rising.flip(0)
    return weights
