"""Compact upscaler of Real-ESRGAN (`realesr-general-x4v3` and its kin): plain convolutions, then a pixel shuffle."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class CompactConfig:
    """Shape of the net: `depth` convolutions between the first and the last, each followed by a PReLU."""

    channels: int = 3
    features: int = 64
    depth: int = 16
    scale: int = 4

    @property
    def bytes_per_pixel(self) -> int:
        """Roughly what the activations of one input pixel take at the peak, in float32."""
        return 4 * (3 * self.features + 4 * self.channels * self.scale**2)


class CompactNet(nn.Module):
    """Pictures `(B, C, H, W)` in 0..1 to `(B, C, H * scale, W * scale)`: a change to the picture enlarged as it is."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        width = config.features
        layers: list[nn.Module] = [nn.Conv2d(config.channels, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(config.depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        layers.append(nn.Conv2d(width, config.channels * config.scale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        change = F.pixel_shuffle(self.body(x), self.config.scale)
        return change + F.interpolate(x, scale_factor=self.config.scale, mode="nearest")
