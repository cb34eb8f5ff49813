"""The denoiser: one convention over every way a net was trained.

A denoiser maps `(x, sigma, conditioning)` to the denoised estimate. The net sees `x / sqrt(1 + sigma^2)`. One that
predicts epsilon answers with the noise, so the estimate is `x - sigma * epsilon` (Karras et al. 2022, section 5); one
that predicts v, with a mixture of noise and picture (Salimans and Ho 2022, appendix D).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from engine.diffusion.parameterisation import NoiseLevels, scaled_linear
from engine.memory.handle import ModelHandle
from engine.models.checkpoint import Checkpoint, Prediction
from engine.models.nets.unet import UNet


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """How latents look to the net: channels, the factor they are multiplied by, and pixels per cell along a side."""

    channels: int = 4
    scale_factor: float = 0.18215
    downscale: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class Denoiser:
    """A UNet with what it predicts, and the noise levels and the latents it was trained on."""

    socket: ClassVar[str] = "MODEL"

    net: ModelHandle[UNet]
    levels: NoiseLevels
    latents: LatentFormat
    prediction: Prediction = "epsilon"
    differential: float | None = None  # how strongly the grey of a noise mask says when to repaint, None: not at all

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return self.net.nbytes

    def denoise(self, x: Tensor, sigma: float, tokens: Tensor) -> Tensor:
        """The denoised estimate of scaled latents `x` `(B, C, h, w)` at `sigma`, for token states `(B, T, D)`."""
        timesteps = torch.full((len(x),), float(self.levels.timestep(sigma)))
        with self.net.lease() as net:
            device, dtype = self.net.device, self.net.dtype
            scaled = (x / math.sqrt(1 + sigma * sigma)).to(device, dtype)
            predicted: Tensor = net(scaled, timesteps.to(device), tokens.to(device, dtype)).to(x)
        if self.prediction == "v":
            return x / (1 + sigma * sigma) - predicted * (sigma / math.sqrt(1 + sigma * sigma))
        return x - sigma * predicted


def denoiser_of(checkpoint: Checkpoint) -> Denoiser:
    """The denoiser in a checkpoint of the Stable Diffusion 1.x family."""
    latents = LatentFormat(checkpoint.latent_channels, checkpoint.scale_factor, checkpoint.downscale)
    return Denoiser(checkpoint.unet, scaled_linear(), latents, checkpoint.prediction)
