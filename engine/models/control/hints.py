"""Hints: pictures that say where things are to be, brought to the size of what is painted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.models.control.errors import ControlError
from engine.tensors.resample import resize
from engine.tensors.rows import Rows

CELL = 8  # pixels of a hint for a cell of the latent, of all published nets


class Kept:
    """What was last computed from a hint, so that it is computed once a sampling: for one canvas, part by part."""

    __slots__ = ("_canvas", "_parts")

    def __init__(self) -> None:
        self._canvas: object = None
        self._parts: dict[object, tuple[Tensor, ...]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept."""
        return sum(tensor.nbytes for part in self._parts.values() for tensor in part)

    def get(self, canvas: object, part: object, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What `make` gives for a part of a canvas; another canvas takes the place of the one before."""
        if canvas != self._canvas:
            self._canvas, self._parts = canvas, {}
        if part not in self._parts:
            self._parts[part] = make()
        return self._parts[part]


def channels_of(image: Tensor, wanted: int, where: str) -> Tensor:
    """A picture `(B, H, W, C)` as a hint `(B, wanted, H, W)`: grey is repeated, alpha dropped, colour made grey.

    Raises `ControlError` for other numbers of channels.
    """
    if image.ndim != 4 or not image.numel():
        raise _no_picture(image, wanted, where)
    hint, channels = image.movedim(-1, 1), image.shape[-1]
    if channels == wanted:
        return hint
    if wanted == 3 and channels in (1, 2):
        return hint[:, :1].expand(-1, 3, -1, -1)
    if wanted == 3 and channels == 4:
        return hint[:, :3]
    if wanted == 1 and channels in (2, 3, 4):
        return hint[:, :1] if channels == 2 else hint[:, :3].mean(dim=1, keepdim=True)
    raise _no_picture(image, wanted, where)


def _no_picture(image: Tensor, wanted: int, where: str) -> ControlError:
    return ControlError(
        "this picture cannot be a hint",
        where=f"{where}, input image",
        expected=f"a picture of {wanted} channel{'s' if wanted > 1 else ''}",
        got=f"a tensor of shape {tuple(image.shape)}",
        hint="Connect a picture of at least one pixel; masks become pictures by MaskToImage.",
    )


def for_rows(
    hint: Tensor,
    rows: Rows,
    size: tuple[int, int],
    kept: Kept,
    key: object,
    make: Callable[[Tensor], tuple[Tensor, ...]],
    multiple: int = 1,
    cell: int = CELL,
) -> tuple[Tensor, ...]:
    """What `make` gives for the part of a hint that each row is about, `(B, ...)` each.

    The hint `(N, C, H, W)` is cut about its centre to the canvas's aspect ratio, resized to `cell` pixels a cell of the
    latent, and cut to a part of `size` cells; its sides are then rounded up to `multiple`. Of several pictures each
    sample takes its own. The key tells apart whatever else the result depends on.
    """
    tall, wide = size

    def of_part(top: int, left: int, canvas: tuple[int, int]) -> tuple[Tensor, ...]:
        whole = resize(hint, canvas[1] * cell, canvas[0] * cell, "nearest-exact", "center")
        part = whole[..., top * cell : (top + tall) * cell, left * cell : (left + wide) * cell]
        height, width = (-(-side // multiple) * multiple for side in (tall * cell, wide * cell))
        if part.shape[-2:] != (height, width):
            part = resize(part, width, height, "nearest-exact")
        return make(part)

    found = []
    for row in rows:
        parts = kept.get(
            (row.canvas, key),
            (row.top, row.left, size),
            lambda row=row: of_part(row.top, row.left, row.canvas),  # type: ignore[misc]
        )
        found.append([part[row.sample % len(part)] for part in parts])
    return tuple(torch.stack(list(column)) for column in zip(*found, strict=True))
