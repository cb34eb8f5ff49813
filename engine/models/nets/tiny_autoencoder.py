"""The tiny autoencoder of previews (TAESD), with the key names of the original files.

Source: madebyollin/taesd (MIT): a few 3x3 convolutions distilled from the autoencoder of a model family. Encoder and
decoder are two plain sequences whose keys are numbers. It takes and gives latents **as the net sees them**, that is
multiplied by the family's scale factor (and shifted, in families that shift), and pictures in 0..1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.detect import ArchitectureError

SOFT_LIMIT = 3.0  # latents are bent to stay within it, so that a stray value does not burn out the picture


@dataclass(frozen=True, slots=True)
class TinyConfig:
    """Shape of one half: `widths` and `blocks` have one entry a level, in the order in which the levels are computed.

    Between two levels the size is halved or doubled, so the factor is `2 ** (levels - 1)`: 8 for the published ones,
    whose decoder has levels of 3, 3, 3 and 1 blocks of 64 channels, and whose encoder has 1, 3, 3 and 3.
    """

    latent_channels: int = 4
    widths: tuple[int, ...] = (64, 64, 64, 64)
    blocks: tuple[int, ...] = (3, 3, 3, 1)

    @property
    def downscale(self) -> int:
        """Pixels per latent cell, along one side."""
        return int(2 ** (len(self.widths) - 1))


class SoftLimit(nn.Module):
    """Bends values smoothly into -3..3."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / SOFT_LIMIT) * SOFT_LIMIT


class Block(nn.Module):
    """Three convolutions, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(channels, channels), nn.ReLU(), _conv(channels, channels), nn.ReLU(), _conv(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + x)


class TinyDecoder(nn.Sequential):
    """Scaled latents `(B, latent_channels, h, w)` to pictures `(B, 3, h * f, w * f)` in about 0..1."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(*_decoder_layers(config))
        self.config = config


class TinyEncoder(nn.Sequential):
    """Pictures `(B, 3, H, W)` in 0..1 to scaled latents `(B, latent_channels, H / f, W / f)`."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(*_encoder_layers(config))
        self.config = config


class TinyAutoencoder(nn.Module):
    """Both halves as nodes use an autoencoder: latents before the scale factor, pictures `(B, 3, H, W)` in -1..1.

    A file may hold one half; the other is None.
    """

    def __init__(self, encoder: TinyEncoder | None, decoder: TinyDecoder | None, scale_factor: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.scale_factor = scale_factor

    def encode(self, x: Tensor) -> tuple[Tensor, None]:
        """Latents `(B, C, h, w)` of pictures; nothing is known of their deviation."""
        if self.encoder is None:
            raise ArchitectureError("this tiny autoencoder has no encoder", expected="a file taesd_encoder or the like")
        latents: Tensor = self.encoder((x + 1) / 2)
        return latents / self.scale_factor, None

    def decode(self, z: Tensor) -> Tensor:
        """Pictures of latents `(B, C, h, w)`."""
        if self.decoder is None:
            raise ArchitectureError("this tiny autoencoder has no decoder", expected="a file taesd_decoder or the like")
        pictures: Tensor = self.decoder(z * self.scale_factor)
        return pictures.clamp(0, 1) * 2 - 1


class PixelSpace(nn.Module):
    """No autoencoder at all, for models that work on pixels: latents are the pictures in -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self.none = nn.Parameter(torch.zeros(0))

    def encode(self, x: Tensor) -> tuple[Tensor, None]:
        """The pictures themselves."""
        return x, None

    def decode(self, z: Tensor) -> Tensor:
        """The pictures themselves."""
        return z


def _decoder_layers(config: TinyConfig) -> Iterable[nn.Module]:
    yield SoftLimit()
    yield _conv(config.latent_channels, config.widths[0])
    yield nn.ReLU()
    for width, blocks, after in zip(config.widths, config.blocks, (*config.widths[1:], None), strict=True):
        yield from (Block(width) for _ in range(blocks))
        if after is not None:
            yield nn.Upsample(scale_factor=2)
            yield _conv(width, after, bias=False)
    yield _conv(config.widths[-1], 3)


def _encoder_layers(config: TinyConfig) -> Iterable[nn.Module]:
    yield _conv(3, config.widths[0])
    for before, width, blocks in zip((None, *config.widths[:-1]), config.widths, config.blocks, strict=True):
        if before is not None:
            yield _conv(before, width, stride=2, bias=False)
        yield from (Block(width) for _ in range(blocks))
    yield _conv(config.widths[-1], config.latent_channels)


def _conv(channels: int, out_channels: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1, bias=bias)
