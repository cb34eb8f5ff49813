"""The autoencoder as nodes use it: pictures in 0..1 to latents and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.memory.handle import ModelHandle
from engine.memory.work import Given, Work
from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.tiny_autoencoder import PixelSpace, TinyAutoencoder
from engine.tensors.tiles import Tiling, tiled
from engine.tensors.values import Image

TILES = (64, 48, 32, 16, 8)  # cells along a side that pictures may be cut to where they do not fit in one piece
OVERLAP = 4  # neighbours share a fourth of a side
FRAMES = 14  # of a video that are decoded together: as the published decoder was trained to do
TILED_WORK = 16 / 9  # times the work, as each tile brings three fourths of a side

Net: TypeAlias = Autoencoder | TinyAutoencoder | PixelSpace


class VaeError(EaselError):
    """A picture or latent that an autoencoder cannot take."""

    code: ClassVar[str] = "bad_vae_input"


@dataclass(frozen=True, slots=True, eq=False)
class Vae:
    """Encodes and decodes one picture at a time, so that memory does not grow with the batch.

    An autoencoder of videos decodes `together` frames at once, 1 for pictures.
    """

    socket: ClassVar[str] = "VAE"

    net: ModelHandle[Autoencoder] | ModelHandle[TinyAutoencoder] | ModelHandle[PixelSpace]
    downscale: int
    latent_channels: int
    together: int = 1

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents `(B, C, H / f, W / f)` (the mean, not scaled) of pictures `(B, H, W, 3)` in 0..1.

        Pictures whose sides are no multiple of the factor are cropped about their centre. Raises `VaeError` for
        pictures smaller than one cell.
        """
        pixels = self.crop(pixels)[..., :3]

        def encoded(net: Net, given: Given) -> Tensor:
            cut = None if given.tile is None else Tiling(given.tile, given.tile // OVERLAP, factor_in=self.downscale)
            return torch.cat([self._encoded(net, row[None].movedim(-1, 1), cut) for row in pixels])

        def work() -> Work:
            rows, columns = (side // self.downscale for side in pixels.shape[1:3])

            def row(height: int, width: int) -> tuple[Tensor]:
                shape = 1, 3, height * self.downscale, width * self.downscale
                return (torch.empty(shape, dtype=self.net.dtype, device="meta"),)

            return self._work("encode", lambda net, x: net.encode(x * 2 - 1)[0], rows, columns, row)

        return self._finite(work, encoded)

    def decode(self, samples: Tensor, together: int | None = None) -> Image:
        """Pictures `(B, h * f, w * f, 3)` in 0..1 of latents `(B, C, h, w)`, which for videos are the frames of one.

        `together` frames of a video at the most are decoded at once.
        Raises `VaeError` for another number of channels, and when the picture would hold values that are no numbers.
        """
        if samples.ndim != 4 or samples.shape[1] != self.latent_channels:
            raise VaeError(
                "these latents are of another model",
                expected=f"{self.latent_channels} channels",
                got=f"shape {tuple(samples.shape)}",
                hint="Use the VAE that belongs to the checkpoint.",
            )

        def decoded(net: Net, given: Given) -> Tensor:
            cut = None if given.tile is None else Tiling(given.tile, given.tile // OVERLAP, factor_out=self.downscale)
            return torch.cat([self._decoded(net, part, cut) for part in parts])

        most = self.together if together is None or self.together == 1 else together
        parts = samples.tensor_split(max(1, -(-len(samples) // most)))

        def work() -> Work:
            def row(height: int, width: int) -> tuple[Tensor]:
                shape = len(parts[0]), self.latent_channels, height, width
                return (torch.empty(shape, dtype=self.net.dtype, device="meta"),)

            return self._work(
                ("decode", len(parts[0])), lambda net, z: net.decode(z), samples.shape[2], samples.shape[3], row
            )

        pixels = self._finite(work, decoded, sound=bool(samples.isfinite().all())).movedim(1, -1)
        if not pixels.isfinite().all():
            raise VaeError(
                "the decoded picture is not a number",
                got="latents that are none either" if not samples.isfinite().all() else "sound latents",
                hint="Weights are damaged or overflow: try another checkpoint, VAE or precision.",
            )
        return Image((pixels / 2 + 0.5).clamp(0, 1))

    def crop(self, pixels: Tensor) -> Tensor:
        """`pixels` `(B, H, W, ...)` cut about the centre to multiples of the factor."""
        height, width = (size // self.downscale * self.downscale for size in pixels.shape[1:3])
        if not height or not width:
            raise VaeError(
                "the picture is too small",
                expected=f"at least {self.downscale} x {self.downscale} pixels",
                got=f"{pixels.shape[2]} x {pixels.shape[1]}",
            )
        top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
        return pixels[:, top : top + height, left : left + width]

    def _encoded(self, net: Net, planes: Tensor, cut: Tiling | None) -> Tensor:
        """The latent `(1, C, h, w)` of one picture `(1, 3, H, W)`, whole or in tiles put together on the CPU."""
        if cut is None:
            return net.encode(self._placed(planes) * 2 - 1)[0].float().cpu()
        return tiled(planes, cut, lambda part: net.encode(self._placed(part) * 2 - 1)[0].float().cpu())

    def _decoded(self, net: Net, sample: Tensor, cut: Tiling | None) -> Tensor:
        """The pictures of latents that belong together, whole or in tiles that are put together on the CPU."""
        if cut is None:
            return net.decode(self._placed(sample)).float().cpu()
        return tiled(sample, cut, lambda part: net.decode(self._placed(part)).float().cpu())

    def _work(
        self,
        name: Hashable,
        compute: Callable[..., Tensor],
        rows: int,
        columns: int,
        row: Callable[[int, int], tuple[Tensor]],
    ) -> Work:
        """One picture of `rows` x `columns` cells, for the planner, and its tiles; `row` makes an input of a size."""
        sides = [side for side in TILES if side < max(rows, columns)]
        tiles = tuple((side, TILED_WORK, row(min(side, rows), min(side, columns))) for side in sides)
        return Work((name, rows, columns), compute, row(rows, columns), tiles=tiles)

    def _finite(
        self, work: Callable[[], Work], compute: Callable[[Net, Given], Tensor], *, sound: bool = True
    ) -> Tensor:
        """What `compute` makes with the net, float32 on the CPU.

        SDXL's autoencoder overflows in float16 (activations above 65504): where a `sound` input gives what is no
        number, the weights are widened, once and for all, and the work is done again.
        """
        result = self.net.run(work, compute)
        if sound and self.net.dtype == torch.float16 and not result.isfinite().all():
            self.net.widen()
            result = self.net.run(work, compute)
        return result

    def _placed(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.net.device, self.net.dtype)
