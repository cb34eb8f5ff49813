"""An upscaler as nodes use it: pictures in 0..1, tile by tile, in as much memory as there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import psutil
import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.memory.device import refusing
from engine.memory.handle import ModelHandle
from engine.memory.work import Given, Work
from engine.tensors.images import resized
from engine.tensors.tiles import Tiling, Watch, tiled
from engine.tensors.values import Image

TILE = 512
SMALLEST_TILE = 64
SIDES = (512, 256, 128, 64)  # that a plan may cut to
OVERLAP = 32
COLOURS = 3
SHARE = 0.5  # of the free memory that a tile may take


class UpscaleError(EaselError):
    """An upscaler that gave no picture."""

    code: ClassVar[str] = "upscale_failed"


@dataclass(frozen=True, slots=True, eq=False)
class UpscaleModel:
    """A net that gives `scale` times as many pixels along a side, and roughly what it needs for an input pixel."""

    socket: ClassVar[str] = "UPSCALE_MODEL"

    net: ModelHandle[Any]
    scale: int
    channels: int
    bytes_per_pixel: int
    name: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def upscale(self, images: Tensor, watch: Watch = lambda _done, _total: None, tile: int | None = None) -> Image:
        """Pictures `(B, H * scale, W * scale, C)` in 0..1 of `images` `(B, H, W, C)`, one after the other.

        Each goes through the net in tiles of `tile` pixels (None: as large as fits into memory, at most 512) that share
        32, and in smaller ones if memory runs out all the same. Alpha is enlarged beside the net. `watch` hears how
        many tiles are done. Raises `UpscaleError` if the result holds values that are no numbers.
        """
        if tile is None:
            tile = TILE if self.net.planned else self.fitting_tile()
        pictures: list[Tensor] = []
        while len(pictures) < len(images):
            try:
                with refusing():
                    pictures.append(self._one(images[len(pictures)], tile, len(pictures), len(images), watch))
            except torch.OutOfMemoryError:
                if tile <= SMALLEST_TILE:
                    raise
                tile = max(SMALLEST_TILE, tile // 2)
        return Image(torch.stack(pictures))

    def fitting_tile(self) -> int:
        """The side of the largest tile, a power of two up to 512, whose activations fit into half the free memory.

        Where memory is planned, the plan says so instead.
        """
        pixels = free_memory(self.net.device) * SHARE / self.bytes_per_pixel
        side = TILE
        while side > SMALLEST_TILE and side * side > pixels:
            side //= 2
        return side

    def _one(self, picture: Tensor, tile: int, place: int, count: int, watch: Watch) -> Tensor:
        colours = picture[None, ..., :COLOURS].movedim(-1, 1)

        def enlarged(net: Any, given: Given) -> Tensor:
            side = tile if given.tile is None else given.tile
            cut = Tiling(side, min(OVERLAP, side // 4), factor_out=self.scale)

            def of_part(part: Tensor) -> Tensor:
                planes = self._as_the_net_takes(part).to(self.net.device, self.net.dtype)
                return self._as_it_was(net(planes), part.shape[1]).float().cpu()

            return tiled(colours, cut, of_part, lambda now, tiles: watch(place * tiles + now, count * tiles))

        result = self.net.run(lambda: self._work(colours, tile), enlarged)[0].movedim(0, -1)
        if not result.isfinite().all():
            raise UpscaleError(
                "the enlarged picture is not a number",
                where=self.name,
                got="a sound picture" if picture.isfinite().all() else "a picture that is none either",
                hint="The weights are damaged: fetch the file again, or use another upscaler.",
            )
        if picture.shape[-1] > COLOURS:
            alpha = resized(picture[None, ..., COLOURS:], result.shape[1], result.shape[0], "bicubic")[0]
            result = torch.cat([result, alpha], dim=-1)
        return result.clamp(0, 1)

    def _work(self, colours: Tensor, tile: int) -> Work:
        """One tile of `colours` `(1, C, H, W)`, for the planner, and smaller ones."""
        height, width = colours.shape[-2:]

        def part(side: int) -> tuple[Tensor]:
            piece = torch.empty(1, colours.shape[1], min(side, height), min(side, width), device="meta")
            return (self._as_the_net_takes(piece).to(self.net.dtype),)

        sides = [side for side in SIDES if side < min(tile, max(height, width))]
        tiles = tuple((side, (side / (side - side // 4)) ** 2, part(side)) for side in sides)
        return Work((colours.shape[1], part(tile)[0].shape), lambda net, planes: net(planes), part(tile), tiles=tiles)

    def _as_the_net_takes(self, part: Tensor) -> Tensor:
        """A net for grey pictures gets each channel as a picture, one for colours a grey picture as colours."""
        if self.channels == 1:
            return part.movedim(1, 0)
        return part.expand(-1, self.channels, -1, -1) if part.shape[1] == 1 else part

    def _as_it_was(self, part: Tensor, channels: int) -> Tensor:
        if self.channels == 1:
            return part.movedim(0, 1)
        return part.mean(dim=1, keepdim=True) if channels == 1 else part


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on `device`."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
