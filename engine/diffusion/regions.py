"""Where a prompt counts: the part of the canvas it is evaluated on, and its weight in each cell of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.foundation.errors import EaselError
from engine.tensors.values import Area, Prompt

FEATHER = 8  # cells over which an area fades in at an edge that is not the canvas's
MIN_BOUNDS = 8  # cells: the smallest side of the box about a mask


class AreaError(EaselError):
    """A prompt for an area that the picture does not have."""

    code: ClassVar[str] = "bad_area"


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Rows and columns of the canvas, and the weight `(1 or B, 1, h, w)` there; None is 1 everywhere."""

    rows: slice
    columns: slice
    weight: Tensor | None

    def cut(self, x: Tensor) -> Tensor:
        """The part of `x` `(B, C, H, W)` that the region is about."""
        return x[..., self.rows, self.columns]


def region(prompt: Prompt, frames: int, height: int, width: int, downscale: int) -> Region:
    """Where `prompt` counts on a canvas of `height` x `width` cells of `downscale` pixels, in a batch of `frames`."""
    own = _in_frames(_own_region(prompt, height, width, downscale), prompt.area, frames)
    if not prompt.yields_to:
        return own
    left = torch.ones(1, 1, height, width)
    for other in prompt.yields_to:
        left = left - _cover(region(other, frames, height, width, downscale), height, width)
    weight = own.cut(left.clamp(min=0))
    return Region(own.rows, own.columns, weight if own.weight is None else weight * own.weight)


def _cover(where: Region, height: int, width: int) -> Tensor:
    """The weight `(1 or B, 1, height, width)` of a region in every cell of the canvas."""
    rows = 1 if where.weight is None else len(where.weight)
    canvas = torch.zeros(rows, 1, height, width)
    where.cut(canvas).copy_(torch.ones(1) if where.weight is None else where.weight)
    return canvas


def _own_region(prompt: Prompt, height: int, width: int, downscale: int) -> Region:
    mask = None if prompt.mask is None else _resized(prompt.mask, height, width)
    rows, columns = slice(0, height), slice(0, width)
    if prompt.area is not None:
        rows, columns = _box(prompt.area, height, width, downscale)
    elif mask is not None and prompt.mask_bounds:
        rows, columns = _bounds(mask)
    if mask is not None:
        return Region(rows, columns, mask[..., rows, columns] * (prompt.mask_strength * prompt.strength))
    if prompt.area is None:
        weight = None if prompt.strength == 1.0 else torch.full((1, 1, height, width), prompt.strength)
        return Region(rows, columns, weight)
    fade = _fade(rows, height)[:, None] * _fade(columns, width)[None]
    return Region(rows, columns, fade[None, None] * prompt.strength)


def _in_frames(where: Region, area: Area | None, frames: int) -> Region:
    """A region with weights for every frame, if its area is about some of them only. Raises `AreaError` if of none."""
    if area is None or where.weight is None or (area.z, area.length) == (0.0, 1.0):
        return where
    start, size = int(area.z * frames), max(1, round(area.length * frames))
    if start >= frames:
        raise AreaError(
            "a prompt is for frames behind the last", where="input z of its area", got=f"{area.z:g}", expected="below 1"
        )
    span = slice(start, min(start + size, frames))
    over = torch.zeros(frames)
    over[span] = _fade(span, frames)
    rows = where.weight[torch.arange(frames) % len(where.weight)]
    return Region(where.rows, where.columns, rows * over.view(-1, 1, 1, 1))


def _resized(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask in cells. Raises `AreaError` for one that is empty."""
    if mask.numel() == 0:
        raise AreaError("a prompt is for an area that is empty", where="the mask", got=str(tuple(mask.shape)))
    mask = mask.float().reshape(-1, 1, *mask.shape[-2:])
    return mask if mask.shape[-2:] == (height, width) else F.interpolate(mask, size=(height, width), mode="bilinear")


def _box(area: Area, height: int, width: int, downscale: int) -> tuple[slice, slice]:
    """The cells of an area, cut at the edges of the canvas. Raises `AreaError` for one that lies outside of it."""
    scale = (height, width) if area.unit == "fractions" else (1 / downscale, 1 / downscale)
    sizes = (max(1, round(area.height * scale[0])), max(1, round(area.width * scale[1])))
    starts = (int(area.y * scale[0]), int(area.x * scale[1]))
    if starts[0] >= height or starts[1] >= width:
        unit = "" if area.unit == "fractions" else " pixels"
        raise AreaError(
            "a prompt is for an area outside the picture",
            where="inputs x and y of its area",
            got=f"{area.x:g}, {area.y:g}{unit}",
            expected="below 1"
            if area.unit == "fractions"
            else f"below {width * downscale}, {height * downscale} pixels",
        )
    rows, columns = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    return slice(rows.start, min(rows.stop, height)), slice(columns.start, min(columns.stop, width))


def _bounds(mask: Tensor) -> tuple[slice, slice]:
    height, width = mask.shape[-2:]
    used = mask.amax(dim=(0, 1)) > 0
    rows, columns = (used.any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
    if not rows:
        return slice(0, min(MIN_BOUNDS, height)), slice(0, min(MIN_BOUNDS, width))
    return _widened(rows[0], rows[-1] + 1, height), _widened(columns[0], columns[-1] + 1, width)


def _widened(start: int, stop: int, limit: int) -> slice:
    stop = min(max(stop, start + MIN_BOUNDS), limit)
    return slice(max(0, min(start, stop - MIN_BOUNDS)), stop)


def _fade(span: slice, limit: int) -> Tensor:
    """Weights of the cells of `span`: rising over its first cells, and falling over its last, inside the canvas."""
    count = span.stop - span.start
    weights = torch.ones(count)
    steps = min(FEATHER, max(1, count // 4))
    ramp = torch.arange(1, steps + 1) / steps
    if span.start > 0:
        weights[:steps] *= ramp
    if span.stop < limit:
        weights[count - steps :] *= ramp.flip(0)
    return weights
