"""Pictures `(B, H, W, C)` in 0..1 brought together: their sizes, batches and channels matched; cut, padded, pasted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.foundation.errors import EaselError
from engine.tensors.latents import repeated
from engine.tensors.resample import resize
from engine.tensors.values import Image

COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


class ImageError(EaselError):
    """Pictures or masks that do not go together, or a part of one that is not there."""

    code: ClassVar[str] = "misfit_images"


def rgb(colour: int) -> tuple[float, float, float]:
    """Red, green and blue in 0..1 of a number `0xRRGGBB`."""
    red, green, blue = (colour >> shift & 0xFF for shift in (16, 8, 0))
    return red / 255, green / 255, blue / 255


def filled(batch: int, height: int, width: int, colour: Sequence[float]) -> Image:
    """Pictures `(batch, height, width, len(colour))` of one colour."""
    return Image(torch.tensor(colour).expand(batch, height, width, len(colour)).clone())


def resized(image: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Image:
    """`image` at `width` x `height`; `crop="center"` first cuts it to the new proportions."""
    if image.shape[1:3] == (height, width):
        return Image(image)
    return Image(resize(image.movedim(-1, 1), width, height, method, crop).movedim(1, -1))


def with_channels(image: Tensor, channels: int) -> Tensor:
    """`image` with as many channels as wanted: grey as colour, new alpha is opaque, channels beyond are left out."""
    if image.shape[-1] == 1 and channels >= 3:
        image = image.expand(*image.shape[:-1], 3)
    missing = channels - image.shape[-1]
    return F.pad(image, (0, missing), value=1.0) if missing > 0 else image[..., :channels]


def alike(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the channels of the one that has more."""
    channels = max(first.shape[-1], second.shape[-1])
    return with_channels(first, channels), with_channels(second, channels)


def batched(images: Sequence[Tensor], method: str = "bilinear") -> Image:
    """Pictures as one batch in the size of the first, cut about the centre to its proportions."""
    height, width = images[0].shape[1:3]
    channels = max(image.shape[-1] for image in images)
    same = (resized(with_channels(image, channels), width, height, method, "center") for image in images)
    return Image(torch.cat(list(same)))


def cropped(image: Tensor, x: int, y: int, width: int, height: int, where: str = "inputs x and y") -> Tensor:
    """A box of pictures or masks `(B, H, W, ...)`, cut where it reaches beyond; `ImageError` if it is outside."""
    rows, columns = image.shape[1:3]
    if x >= columns or y >= rows:
        raise ImageError(
            "the box lies outside the picture",
            where=where,
            expected=f"a corner within {columns} x {rows} pixels",
            got=f"{x}, {y}",
            hint="Make x and y smaller than the width and the height of the picture.",
        )
    return image[:, y : y + height, x : x + width]


def pasted(canvas: Tensor, source: Tensor, x: int, y: int, weight: Tensor | None = None) -> Tensor:
    """`canvas` `(B, H, W, C)` with `source` at a place, by `weight` `(B or 1, h, w)` in 0..1 of the source's size.

    What reaches beyond the canvas is cut off; `source` and `weight` are repeated to its batch. Raises `ImageError` for
    a place outside it.
    """
    area = cropped(canvas, x, y, source.shape[2], source.shape[1])
    rows, columns = area.shape[1:3]
    part = repeated(source, len(canvas))[:, :rows, :columns]
    if weight is not None:
        share = repeated(weight, len(canvas))[:, :rows, :columns, None]
        part = part * share + area * (1 - share)
    result = canvas.clone()
    result[:, y : y + rows, x : x + columns] = part
    return result


def padded(image: Tensor, left: int, top: int, right: int, bottom: int, colour: Sequence[float]) -> Image:
    """`image` with a border of one colour; a border that has no value for a channel has 1 there."""
    batch, height, width, channels = image.shape
    whole = [*colour, *[1.0] * channels][:channels]
    canvas = filled(batch, top + height + bottom, left + width + right, whole).to(image)
    canvas[:, top : top + height, left : left + width] = image
    return Image(canvas)


def outpaint_mask(height: int, width: int, left: int, top: int, right: int, bottom: int, feather: int) -> Tensor:
    """A mask `(1, top + height + bottom, left + width + right)`: 1 on the border, 0 inside.

    Inside, within `feather` pixels of a side with a border, it falls with the square of the distance to that side.
    A picture of twice `feather` or less along a side is not feathered.
    """
    inner = torch.zeros(height, width)
    if feather > 0 and 2 * feather < min(height, width):
        far = float(height + width)
        down, across = torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32)
        rows = torch.minimum(down if top else down + far, height - down if bottom else down + far)
        columns = torch.minimum(across if left else across + far, width - across if right else across + far)
        nearest = torch.minimum(rows[:, None], columns)
        inner = ((feather - nearest) / feather).clamp(min=0).square()
    return F.pad(inner, (left, right, top, bottom), value=1.0)[None]


def stitched(first: Tensor, second: Tensor, direction: str, *, spacing: int, colour: Sequence[float]) -> Image:
    """Two batches side by side (`second` to the right, left, up or down of `first`), `spacing` pixels between them.

    The shorter batch repeats its last picture, the smaller picture is centred on black.
    """
    batch = max(len(first), len(second))
    first, second = alike(first, second)
    first, second = (torch.cat([x, x[-1:].expand(batch - len(x), *x.shape[1:])]) for x in (first, second))
    across = 1 if direction in ("right", "left") else 2
    size = max(first.shape[across], second.shape[across])
    parts = [_centred(x, across, size) for x in (first, second)]
    if direction in ("left", "up"):
        parts.reverse()
    if spacing:
        shape = list(parts[0].shape)
        shape[3 - across] = spacing
        whole = [*colour, *[1.0] * shape[-1]][: shape[-1]]
        parts.insert(1, filled(batch, shape[1], shape[2], whole).to(first))
    return Image(torch.cat(parts, dim=3 - across))


def _centred(image: Tensor, axis: int, size: int) -> Tensor:
    missing = size - image.shape[axis]
    before = missing // 2
    borders = {1: (0, before, 0, missing - before), 2: (before, 0, missing - before, 0)}
    return padded(image, *borders[axis], (0.0, 0.0, 0.0)) if missing else image
