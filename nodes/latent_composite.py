"""One latent pasted into another."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from engine.node import Range, node
from engine.tensors.latents import LatentError, check_channels, repeated
from engine.tensors.resample import resize
from engine.tensors.values import Latent, Mask

Offset = Annotated[int, Range(0, 16384, step=8)]


@node("LatentComposite", category="latent", display_name="Latent Composite")
def composite(samples_to: Latent, samples_from: Latent, x: Offset = 0, y: Offset = 0, feather: Offset = 0) -> Latent:
    """Paste at a place in pixels, fading in over `feather` pixels at the edges that lie inside the canvas."""
    cell = samples_to.downscale
    canvas = samples_to.samples
    top, left = y // cell, x // cell
    rows = _ramp(samples_from.samples.shape[-2], top, canvas.shape[-2], feather // cell)
    columns = _ramp(samples_from.samples.shape[-1], left, canvas.shape[-1], feather // cell)
    pasted = _pasted(samples_to, samples_from.samples, top, left, (rows[:, None] * columns)[None, None], "samples_from")
    return replace(samples_to, samples=pasted, empty=samples_to.empty and samples_from.empty)


@node("LatentCompositeMasked", category="latent")
def composite_masked(
    destination: Latent,
    source: Latent,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: bool = False,
    mask: Mask | None = None,
) -> Latent:
    """Paste at a place in pixels where the mask, stretched over the source, is 1."""
    samples = source.samples
    if resize_source:
        samples = resize(samples, destination.samples.shape[-1], destination.samples.shape[-2], "bilinear")
    height, width = samples.shape[-2:]
    weight = torch.ones(1, 1, height, width)
    if mask is not None:
        weight = resize(mask.float().reshape(-1, 1, *mask.shape[-2:]), width, height, "bilinear")
    top, left = y // destination.downscale, x // destination.downscale
    pasted = _pasted(destination, samples, top, left, weight, "source")
    return replace(destination, samples=pasted, empty=destination.empty and source.empty)


def _pasted(canvas: Latent, source: Tensor, top: int, left: int, weight: Tensor, name: str) -> Tensor:
    """The samples of `canvas` with `source` at a cell, by `weight` `(1 or B, 1, h, w)`; cut at the edges."""
    check_channels(source, canvas.samples, f"input {name}")
    height, width = canvas.samples.shape[-2:]
    if top >= height or left >= width:
        raise LatentError(
            "it would be pasted outside the picture",
            where="inputs x and y",
            expected=f"a place within {width * canvas.downscale} x {height * canvas.downscale} pixels",
            got=f"{left * canvas.downscale}, {top * canvas.downscale}",
        )
    result = canvas.samples.clone()
    area = result[..., top : top + source.shape[-2], left : left + source.shape[-1]]
    rows, columns = area.shape[-2:]
    part = repeated(source, len(result))[..., :rows, :columns]
    share = repeated(weight, len(result))[..., :rows, :columns].to(part)
    area.copy_(part * share + area * (1 - share))
    return result


def _ramp(size: int, start: int, limit: int, feather: int) -> Tensor:
    """Weights of `size` cells from `start` on: rising and falling over `feather` cells at ends inside `limit`."""
    weights = torch.ones(size)
    steps = min(feather, size)
    rising = torch.arange(1, steps + 1) / max(feather, 1)
    if start > 0:
        weights[:steps] *= rising
    if start + size < limit:
        weights[size - steps :] *= rising.flip(0)
    return weights
