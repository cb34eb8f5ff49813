"""Masks `(B, H, W)` in 0..1: grown, feathered, combined, and brought to the size of a picture."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.tensors.filters import window_max
from engine.tensors.images import cropped
from engine.tensors.latents import repeated
from engine.tensors.resample import resize

OPERATIONS = ("multiply", "add", "subtract", "and", "or", "xor")


def planes(mask: Tensor) -> Tensor:
    """`mask` as `(B, H, W)`: a single plane `(H, W)` is a batch of one."""
    return mask.reshape(-1, *mask.shape[-2:])


def fitted(mask: Tensor, height: int, width: int, method: str = "bilinear", crop: str = "disabled") -> Tensor:
    """`mask` in another size."""
    mask = planes(mask)
    if mask.shape[1:] == (height, width):
        return mask
    return resize(mask[:, None], width, height, method, crop)[:, 0]


def grown(mask: Tensor, by: int, *, tapered: bool) -> Tensor:
    """The largest value within `by` pixels of each; the smallest for a negative `by`.

    Distance is that of a king's moves, or with `tapered` that of steps along the sides, which leaves corners slanted.
    """
    mask = planes(mask)
    if by < 0:
        return -grown(-mask, -by, tapered=tapered)
    by = min(by, sum(mask.shape[1:]))  # then it has reached everything
    if not tapered:
        return window_max(window_max(mask, by, by, dim=1), by, by, dim=2)
    for _ in range(by):
        mask = torch.maximum(window_max(mask, 1, 1, dim=1), window_max(mask, 1, 1, dim=2))
    return mask


def feathered(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """`mask` fading to nothing over so many pixels at each side: 1/n of the value at the side itself."""
    mask = planes(mask)
    rows = _fading(mask.shape[1], top, bottom)
    columns = _fading(mask.shape[2], left, right)
    return mask * (rows[:, None] * columns).to(mask)


def combined(destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> Tensor:
    """`destination` with `source` worked into it at a place; `and`, `or` and `xor` first round both to 0 or 1."""
    destination, source = planes(destination), planes(source)
    area = cropped(destination, x, y, source.shape[2], source.shape[1])
    rows, columns = area.shape[1:]
    part = repeated(source, len(destination))[:, :rows, :columns].to(area)
    result = destination.clone()
    result[:, y : y + rows, x : x + columns] = _operated(area, part, operation)
    return result.clamp(0, 1)


def _operated(a: Tensor, b: Tensor, operation: str) -> Tensor:
    match operation:
        case "multiply":
            return a * b
        case "add":
            return a + b
        case "subtract":
            return a - b
        case "and":
            return (a.round().bool() & b.round().bool()).to(a)
        case "or":
            return (a.round().bool() | b.round().bool()).to(a)
        case _:
            return (a.round().bool() ^ b.round().bool()).to(a)


def _fading(size: int, start: int, end: int) -> Tensor:
    weights = torch.ones(size)
    start, end = min(start, size), min(end, size)
    weights[:start] *= torch.arange(1, start + 1) / max(start, 1)
    weights[size - end :] *= torch.arange(end, 0, -1) / max(end, 1)
    return weights
