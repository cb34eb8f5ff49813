"""Latents cropped, turned, cut and joined along a side; their noise masks go with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from engine.node import Choice, Range, node
from engine.tensors.latents import LatentError, cell_mask, check_channels, repeated
from engine.tensors.values import Latent

TRANSFORM = "latent/transform"
ADVANCED = "latent/advanced"
AXES = {"x": -1, "y": -2, "t": -3}  # t: the frames of a video, the channels of a picture
TURNS = ("none", "90 degrees", "180 degrees", "270 degrees")

Side = Annotated[int, Range(64, 16384, step=8)]
Offset = Annotated[int, Range(0, 16384, step=8)]
Count = Annotated[int, Range(1, 16384)]


@node("LatentCrop", category=TRANSFORM, display_name="Crop Latent")
def crop_latent(samples: Latent, width: Side = 512, height: Side = 512, x: Offset = 0, y: Offset = 0) -> Latent:
    """A box of it, in pixels; cut where it reaches beyond the picture."""
    top, left, rows, columns = (value // samples.downscale for value in (y, x, height, width))
    limits = samples.samples.shape[-2:]
    if top >= limits[0] or left >= limits[1]:
        raise LatentError(
            "the box lies outside the picture",
            where="inputs x and y",
            expected=f"a corner within {limits[1] * samples.downscale} x {limits[0] * samples.downscale} pixels",
            got=f"{x}, {y}",
        )
    return _changed(samples, lambda plane: plane[..., top : top + rows, left : left + columns])


@node("LatentFlip", category=TRANSFORM, display_name="Flip Latent")
def flip_latent(
    samples: Latent, flip_method: Annotated[str, Choice("x-axis: vertically", "y-axis: horizontally")]
) -> Latent:
    """Upside down, or left to right."""
    return _changed(samples, lambda plane: plane.flip(-2 if flip_method.startswith("x") else -1))


@node("LatentRotate", category=TRANSFORM, display_name="Rotate Latent")
def rotate_latent(samples: Latent, rotation: Annotated[str, Choice(*TURNS)]) -> Latent:
    """Turned clockwise."""
    return _changed(samples, lambda plane: plane.rot90(TURNS.index(rotation), dims=(-1, -2)))


@node("LatentConcat", category=ADVANCED)
def concat_latents(
    samples1: Latent, samples2: Latent, dim: Annotated[str, Choice("x", "-x", "y", "-y", "t", "-t")]
) -> Latent:
    """Side by side; with a minus, the second comes first. The first's batch counts, noise masks are dropped."""
    axis = AXES[dim.removeprefix("-")]
    first, second = samples1.samples, repeated(samples2.samples, len(samples1.samples))
    if axis != AXES["t"]:
        check_channels(second, first, "input samples2")
    across = [side for side in (-2, -1) if side != axis]
    if any(first.shape[side] != second.shape[side] for side in across):
        raise LatentError(
            f"these latents cannot be joined along {dim.removeprefix('-')}",
            where="input samples2",
            expected=f"sides of {first.shape[-1]} x {first.shape[-2]} cells but for the one joined",
            got=f"{second.shape[-1]} x {second.shape[-2]}",
        )
    parts = (second, first) if dim.startswith("-") else (first, second)
    empty = samples1.empty and samples2.empty
    return replace(samples1, samples=torch.cat(parts, dim=axis), noise_mask=None, empty=empty)


@node("LatentCut", category=ADVANCED)
def cut_latent(
    samples: Latent,
    dim: Annotated[str, Choice("x", "y", "t")],
    index: Annotated[int, Range(-16384, 16384)] = 0,
    amount: Count = 1,
) -> Latent:
    """`amount` columns, rows or frames from `index` on, in cells; a negative index counts from the end."""
    axis, size = AXES[dim], samples.samples.shape[AXES[dim]]
    start = min(index, size - 1) if index >= 0 else max(0, size + index)

    def narrowed(plane: Tensor) -> Tensor:
        return plane.narrow(axis, start, min(amount, size - start))

    if dim == "t":
        return replace(samples, samples=narrowed(samples.samples))
    return _changed(samples, narrowed)


@node("LatentCutToBatch", category=ADVANCED)
def cut_latent_to_batch(samples: Latent, dim: Annotated[str, Choice("t", "x", "y")], slice_size: Count = 1) -> Latent:
    """Slices of `slice_size` cells one after another as a batch; a rest that fills none is dropped."""
    size = samples.samples.shape[AXES[dim]]
    width = min(slice_size, size)
    kept = size // width * width

    def sliced(plane: Tensor) -> Tensor:
        moved = plane.narrow(AXES[dim], 0, kept).movedim(AXES[dim], 1)
        return moved.reshape(-1, width, *moved.shape[2:]).movedim(1, AXES[dim])

    mask = cell_mask(samples)
    if mask is not None:
        rows = repeated(mask, len(samples.samples))
        mask = rows.repeat_interleave(kept // width, dim=0) if dim == "t" else sliced(rows[:, None])[:, 0]
    return replace(samples, samples=sliced(samples.samples), noise_mask=mask, batch_index=None)


def _changed(latent: Latent, change: Callable[[Tensor], Tensor]) -> Latent:
    """The samples and the mask, cell for cell, both changed."""
    mask = cell_mask(latent)
    return replace(latent, samples=change(latent.samples), noise_mask=None if mask is None else change(mask))
