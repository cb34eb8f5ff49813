"""T2I-Adapter: a small net beside a UNet that makes a feature map for each of its levels from a hint.

Source: Mou et al. 2023 (T2I-Adapter), section 3.3. Key names are those of the original files.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class StageConfig:
    """A residual stage: channels in and out, how many convolutions, and the size of each one's second kernel.

    `width` is that of the convolutions; it differs from `out_channels` in the light form. `down` halves the size first.
    """

    in_channels: int
    out_channels: int
    width: int
    blocks: int
    kernel: int
    down: bool


@dataclass(frozen=True, slots=True)
class T2IAdapterConfig:
    """Shape of an adapter. `unshuffle` pixels along a side become channels; the `light` form has narrower stages."""

    hint_channels: int
    unshuffle: int
    stages: tuple[StageConfig, ...]
    light: bool = False


class Residual(nn.Module):
    """Two convolutions with ReLU between, added to their input."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.block1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.block2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """`x` `(B, C, h, w)` after both."""
        out: Tensor = x + self.block2(F.relu(self.block1(x)))
        return out


class Stage(nn.Module):
    """One stage; what the files call it differs between the two forms, see `T2IAdapter`."""

    def __init__(self, config: StageConfig, *, light: bool) -> None:
        super().__init__()
        self.down = config.down
        if light or config.in_channels != config.width:
            self.in_conv = nn.Conv2d(config.in_channels, config.width, 1)
        self.body = nn.ModuleList(Residual(config.width, config.kernel) for _ in range(config.blocks))
        if light:
            self.out_conv = nn.Conv2d(config.width, config.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`x` `(B, C, h, w)` after the stage; odd sides are rounded up as the UNet rounds them."""
        if self.down:
            x = F.avg_pool2d(x, 2, 2, ceil_mode=True)
        if hasattr(self, "in_conv"):
            x = self.in_conv(x)
        for block in self.body:
            x = block(x)
        return self.out_conv(x) if hasattr(self, "out_conv") else x


class T2IAdapter(nn.Module):
    """Feature maps of a hint, one for each stage. `names` in `engine.models.control.t2i` has the files' names."""

    def __init__(self, config: T2IAdapterConfig) -> None:
        super().__init__()
        self.config = config
        if not config.light:
            first = config.stages[0].in_channels
            self.conv_in = nn.Conv2d(config.hint_channels * config.unshuffle**2, first, 3, padding=1)
        self.body = nn.ModuleList(Stage(stage, light=config.light) for stage in config.stages)

    def forward(self, hint: Tensor) -> list[Tensor]:
        """Feature maps for a hint `(B, C, H, W)` in 0..1, whose sides are multiples of `unshuffle`."""
        x = F.pixel_unshuffle(hint, self.config.unshuffle)
        if not self.config.light:
            x = self.conv_in(x)
        features: list[Tensor] = []
        for stage in self.body:
            x = stage(x)
            features.append(x)
        return features
