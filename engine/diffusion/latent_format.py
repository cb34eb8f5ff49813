"""How latents look to a net."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """How latents look to the net: channels, the factor they are multiplied by, and pixels per cell along a side.

    Where `mean` and `deviation` are given, a number a channel, latents are first brought to mean 0 and deviation 1.
    `to_rgb` is the map that previews of a family of its own need, see `LatentPreview`.
    """

    channels: int = 4
    scale_factor: float = 0.18215
    downscale: int = 8
    to_rgb: Tensor | None = field(default=None, compare=False, repr=False)
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def scaled(self, latents: Tensor) -> Tensor:
        """Latents `(B, C, h, w)` of the autoencoder as the net knows them."""
        if self.mean:
            latents = (latents - _a_channel(self.mean, latents)) / _a_channel(self.deviation, latents)
        return latents * self.scale_factor

    def unscaled(self, x: Tensor) -> Tensor:
        """The inverse of `scaled`."""
        latents = x / self.scale_factor
        if self.mean:
            latents = latents * _a_channel(self.deviation, latents) + _a_channel(self.mean, latents)
        return latents


def _a_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values).to(like).view(-1, 1, 1)
