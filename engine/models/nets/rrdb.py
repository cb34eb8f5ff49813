"""ESRGAN and Real-ESRGAN: residual-in-residual dense blocks, with the key names of Real-ESRGAN.

Wang et al. 2018, "ESRGAN", section 3.1; Wang et al. 2021, "Real-ESRGAN", section 3.4 (pixel unshuffle).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RESIDUAL = 0.2  # by which each block's change is scaled
SLOPE = 0.2


@dataclass(frozen=True, slots=True)
class RrdbConfig:
    """Shape of the net. `unshuffle` folds squares of so many pixels into channels first; `doublings` unfold again.

    `skips`: the variant with 1x1 convolutions inside the dense blocks (ESRGAN+, Rakotonirina and Rasoanaivo 2020).
    """

    channels: int = 3
    out_channels: int = 3
    features: int = 64
    growth: int = 32
    blocks: int = 23
    doublings: int = 2
    unshuffle: int = 1
    skips: bool = False

    @property
    def scale(self) -> int:
        """Output pixels for an input pixel, along a side."""
        return int(2**self.doublings) // self.unshuffle

    @property
    def bytes_per_pixel(self) -> int:
        """Roughly what the activations of one input pixel take at the peak, in float32."""
        body = 3 * (self.features + 4 * self.growth) // self.unshuffle**2
        return 4 * (body + 4 * self.features * self.scale**2)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the input and all that came before."""

    def __init__(self, config: RrdbConfig) -> None:
        super().__init__()
        width, growth = config.features, config.growth
        self.conv1 = nn.Conv2d(width, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(width + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(width + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(width + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, padding=1)
        self.conv1x1 = nn.Conv2d(width, growth, 1, bias=False) if config.skips else None

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen.append(F.leaky_relu(convolution(torch.cat(seen, dim=1)), SLOPE))
            if self.conv1x1 is not None and convolution is self.conv2:
                seen[2] = seen[2] + self.conv1x1(x)
            if self.conv1x1 is not None and convolution is self.conv4:
                seen[4] = seen[4] + seen[2]
        change: Tensor = self.conv5(torch.cat(seen, dim=1))
        return x + RESIDUAL * change


class ResidualBlock(nn.Module):
    """Three dense blocks and the way around them."""

    def __init__(self, config: RrdbConfig) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(config)
        self.rdb2 = DenseBlock(config)
        self.rdb3 = DenseBlock(config)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return x + RESIDUAL * change


class RrdbNet(nn.Module):
    """Pictures `(B, C, H, W)` in 0..1 to `(B, C, H * scale, W * scale)`."""

    def __init__(self, config: RrdbConfig) -> None:
        super().__init__()
        self.config = config
        width = config.features
        self.conv_first = nn.Conv2d(config.channels * config.unshuffle**2, width, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(config) for _ in range(config.blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        for number in range(1, config.doublings + 1):
            self.add_module(f"conv_up{number}", nn.Conv2d(width, width, 3, padding=1))
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, config.out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        factor = self.config.unshuffle
        if factor > 1:
            x = F.pixel_unshuffle(F.pad(x, (0, -width % factor, 0, -height % factor), mode="replicate"), factor)
        features = self.conv_first(x)
        features = features + self.conv_body(self.body(features))
        for number in range(1, self.config.doublings + 1):
            larger = F.interpolate(features, scale_factor=2, mode="nearest")
            features = F.leaky_relu(self.get_submodule(f"conv_up{number}")(larger), SLOPE)
        picture: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(features), SLOPE))
        return picture[..., : height * self.config.scale, : width * self.config.scale]
