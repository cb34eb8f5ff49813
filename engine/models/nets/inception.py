"""Inception v3 as the Fréchet inception distance has it: features of the network that its authors trained in 2015.

Source: Szegedy et al. 2016 (figures 5 to 7 and 10), Heusel et al. 2017 (the distance). Attribute names follow the file
that the PyTorch world shares, `pt_inception-2015-12-05-6726825d.pth`. Against the ImageNet network of the same name,
means over the edges of a map leave out what lies beyond them, and the last block takes the largest value instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 299
Size = int | tuple[int, int]


@dataclass(frozen=True, slots=True)
class InceptionConfig:
    """Channels of the first layer; all others are in the published proportions to it."""

    width: int = 32

    def channels(self, published: int) -> int:
        """Channels of a layer that has `published` ones at a width of 32."""
        return published * self.width // 32

    @property
    def features(self) -> int:
        """The width of a feature vector."""
        return self.channels(2048)


class BasicConv2d(nn.Module):
    """A convolution that keeps the size unless it strides or is told not to, a batch norm and a ReLU."""

    def __init__(self, channels: int, out: int, size: Size, stride: int = 1, *, pad: bool = True) -> None:
        super().__init__()
        sides = (size, size) if isinstance(size, int) else size
        padding = (sides[0] // 2, sides[1] // 2) if pad and stride == 1 else (0, 0)
        self.conv = nn.Conv2d(channels, out, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Branches(nn.Module):
    """Rows of convolutions beside each other on the same map, by name."""

    def __init__(self, config: InceptionConfig) -> None:
        super().__init__()
        self._config = config

    def add(self, name: str, channels: int, *layers: tuple[int, Size] | tuple[int, Size, int]) -> None:
        """The layers `name_1`, `name_2`, ... (a single one is `name`): published channels, size, stride."""
        for number, (out, *how) in enumerate(layers, start=1):
            own = name if len(layers) == 1 else f"{name}_{number}"
            self.add_module(own, BasicConv2d(channels, self._config.channels(out), *how))  # type: ignore[arg-type]
            channels = self._config.channels(out)

    def run(self, name: str, x: Tensor) -> Tensor:
        """`x` through the layers of a branch."""
        own = [layer for key, layer in self.named_children() if key == name or key.rpartition("_")[0] == name]
        for layer in own:
            x = layer(x)
        return x


class InceptionA(_Branches):
    """Figure 5: a 5 x 5 convolution as such, and as two of 3 x 3."""

    def __init__(self, config: InceptionConfig, channels: int, pool: int) -> None:
        super().__init__(config)
        self.add("branch1x1", channels, (64, 1))
        self.add("branch5x5", channels, (48, 1), (64, 5))
        self.add("branch3x3dbl", channels, (64, 1), (96, 3), (96, 3))
        self.add("branch_pool", channels, (pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.run(name, x) for name in ("branch1x1", "branch5x5", "branch3x3dbl")]
        return torch.cat([*parts, self.run("branch_pool", _mean(x))], dim=1)


class InceptionB(_Branches):
    """Figure 10: half the size."""

    def __init__(self, config: InceptionConfig, channels: int) -> None:
        super().__init__(config)
        self.add("branch3x3", channels, (384, 3, 2))
        self.add("branch3x3dbl", channels, (64, 1), (96, 3), (96, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.run(name, x) for name in ("branch3x3", "branch3x3dbl")]
        return torch.cat([*parts, F.max_pool2d(x, 3, stride=2)], dim=1)


class InceptionC(_Branches):
    """Figure 6: a 7 x 7 convolution as one of 1 x 7 and one of 7 x 1."""

    def __init__(self, config: InceptionConfig, channels: int, inner: int) -> None:
        super().__init__(config)
        wide, tall = (inner, (1, 7)), (inner, (7, 1))
        self.add("branch1x1", channels, (192, 1))
        self.add("branch7x7", channels, (inner, 1), wide, (192, (7, 1)))
        self.add("branch7x7dbl", channels, (inner, 1), tall, wide, tall, (192, (1, 7)))
        self.add("branch_pool", channels, (192, 1))

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.run(name, x) for name in ("branch1x1", "branch7x7", "branch7x7dbl")]
        return torch.cat([*parts, self.run("branch_pool", _mean(x))], dim=1)


class InceptionD(_Branches):
    """Half the size again."""

    def __init__(self, config: InceptionConfig, channels: int) -> None:
        super().__init__(config)
        self.add("branch3x3", channels, (192, 1), (320, 3, 2))
        self.add("branch7x7x3", channels, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.run(name, x) for name in ("branch3x3", "branch7x7x3")]
        return torch.cat([*parts, F.max_pool2d(x, 3, stride=2)], dim=1)


class InceptionE(_Branches):
    """Figure 7: 1 x 3 and 3 x 1 beside each other. `largest` pools by the largest value instead of the mean."""

    def __init__(self, config: InceptionConfig, channels: int, *, largest: bool) -> None:
        super().__init__(config)
        self.largest = largest
        self.add("branch1x1", channels, (320, 1))
        self.branch3x3_1 = BasicConv2d(channels, config.channels(384), 1)
        self.add("branch3x3dbl", channels, (448, 1), (384, 3))
        for name in ("branch3x3_2", "branch3x3dbl_3"):
            for end, size in (("a", (1, 3)), ("b", (3, 1))):
                self.add_module(name + end, BasicConv2d(config.channels(384), config.channels(384), size))
        self.add("branch_pool", channels, (192, 1))

    def forward(self, x: Tensor) -> Tensor:
        single = self.run("branch3x3_1", x)
        double = self.run("branch3x3dbl_2", self.run("branch3x3dbl_1", x))
        ends = [("branch3x3_2", single), ("branch3x3dbl_3", double)]
        parts = [self.run(name + end, inner) for name, inner in ends for end in "ab"]
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.largest else _mean(x)
        return torch.cat([self.run("branch1x1", x), *parts, self.run("branch_pool", pooled)], dim=1)


class Inception(nn.Module):
    """Pictures to feature vectors: the network up to its last pooling."""

    def __init__(self, config: InceptionConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        self.Conv2d_1a_3x3 = BasicConv2d(3, c(32), 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(c(32), c(32), 3, pad=False)
        self.Conv2d_2b_3x3 = BasicConv2d(c(32), c(64), 3)
        self.Conv2d_3b_1x1 = BasicConv2d(c(64), c(80), 1)
        self.Conv2d_4a_3x3 = BasicConv2d(c(80), c(192), 3, pad=False)
        self.Mixed_5b = InceptionA(config, c(192), 32)
        self.Mixed_5c = InceptionA(config, c(256), 64)
        self.Mixed_5d = InceptionA(config, c(288), 64)
        self.Mixed_6a = InceptionB(config, c(288))
        self.Mixed_6b = InceptionC(config, c(768), 128)
        self.Mixed_6c = InceptionC(config, c(768), 160)
        self.Mixed_6d = InceptionC(config, c(768), 160)
        self.Mixed_6e = InceptionC(config, c(768), 192)
        self.Mixed_7a = InceptionD(config, c(768))
        self.Mixed_7b = InceptionE(config, c(1280), largest=False)
        self.Mixed_7c = InceptionE(config, c(2048), largest=True)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features `(B, F)` of pictures `(B, 3, H, W)` in 0..1, brought to 299 pixels a side and to -1..1."""
        x = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", align_corners=False) * 2 - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = F.max_pool2d(x, 3, stride=2)
        for name, block in self.named_children():
            if name.startswith("Mixed_"):
                x = block(x)
        return x.mean(dim=(2, 3))


def _mean(x: Tensor) -> Tensor:
    """The mean about each cell, of those cells that there are."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
