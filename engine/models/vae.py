"""The autoencoder as nodes use it: pictures in 0..1 to latents and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.memory.handle import ModelHandle
from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.tiny_autoencoder import PixelSpace, TinyAutoencoder
from engine.tensors.values import Image

Net: TypeAlias = Autoencoder | TinyAutoencoder | PixelSpace


class VaeError(EaselError):
    """A picture or latent that an autoencoder cannot take."""

    code: ClassVar[str] = "bad_vae_input"


@dataclass(frozen=True, slots=True, eq=False)
class Vae:
    """Encodes and decodes one picture at a time, so that memory does not grow with the batch."""

    socket: ClassVar[str] = "VAE"

    net: ModelHandle[Autoencoder] | ModelHandle[TinyAutoencoder] | ModelHandle[PixelSpace]
    downscale: int
    latent_channels: int

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

        def encoded(net: Net) -> Tensor:
            return torch.cat([net.encode(self._placed(row[None].movedim(-1, 1)) * 2 - 1)[0] for row in pixels])

        return self._finite(encoded)

    def decode(self, samples: Tensor) -> Image:
        """Pictures `(B, h * f, w * f, 3)` in 0..1 of latents `(B, C, h, w)`.

        Raises `VaeError` for another number of channels, and when the picture would hold values that are no numbers.
        """
        if samples.ndim != 4 or samples.shape[1] != self.latent_channels:
            raise VaeError(
                "these latents are of another model",
                expected=f"{self.latent_channels} channels",
                got=f"shape {tuple(samples.shape)}",
                hint="Use the VAE that belongs to the checkpoint.",
            )

        def decoded(net: Net) -> Tensor:
            return torch.cat([net.decode(self._placed(sample[None])) for sample in samples])

        pixels = self._finite(decoded, sound=bool(samples.isfinite().all())).movedim(1, -1)
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

    def _finite(self, compute: Callable[[Net], Tensor], *, sound: bool = True) -> Tensor:
        """What `compute` makes with the net, float32 on the CPU.

        SDXL's autoencoder overflows in float16 (activations above 65504): where a `sound` input gives what is no
        number, the weights are widened, once and for all, and the work is done again.
        """
        with self.net.lease() as net:
            result = compute(net).float().cpu()
        if sound and self.net.dtype == torch.float16 and not result.isfinite().all():
            self.net.widen()
            with self.net.lease() as net:
                result = compute(net).float().cpu()
        return result

    def _placed(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.net.device, self.net.dtype)
