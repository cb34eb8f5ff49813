"""DPT-hybrid, which estimates depth from one picture (MiDaS), with the key names of the original files.

Source: Ranftl et al. 2021 (dense prediction transformers), Kolesnikov et al. 2020 (the residual net in front, with
standardised convolutions), Dosovitskiy et al. 2021 (the transformer). Sizes come from the shapes in a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD_CHANNELS = 64
LAST = 32  # channels before the depth


@dataclass(frozen=True, slots=True)
class DptConfig:
    """Shape of the net: stem and stages of the residual net, the transformer, and the decoder."""

    stem: int = 64
    stages: tuple[int, ...] = (256, 512, 1024)
    blocks: tuple[int, ...] = (3, 4, 9)
    width: int = 768
    layers: int = 12
    features: int = 256
    places: int = 577
    classes: int = 1000  # of a head that is in the files and not used


class StandardConv(nn.Conv2d):
    """A convolution with weights of mean 0 and deviation 1 an output, padded so that sizes divide by the stride."""

    def __init__(self, channels: int, out_channels: int, side: int, stride: int = 1) -> None:
        super().__init__(channels, out_channels, side, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.flatten(1)
        variance, mean = torch.var_mean(flat, dim=1, correction=0, keepdim=True)
        weight = ((flat - mean) * torch.rsqrt(variance + 1e-8)).view_as(self.weight)
        return F.conv2d(_padded(x, self.kernel_size[0], self.stride[0]), weight, stride=self.stride)


class Downsample(nn.Module):
    """The shortcut of a block that changes width or size."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = StandardConv(channels, out_channels, 1, stride)
        self.norm = nn.GroupNorm(32, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class Bottleneck(nn.Module):
    """Three convolutions, the middle one on a quarter of the channels, added to the input."""

    def __init__(self, channels: int, out_channels: int, stride: int, first: bool) -> None:
        super().__init__()
        inner = out_channels // 4
        if first:
            self.downsample = Downsample(channels, out_channels, stride)
        self.conv1, self.norm1 = StandardConv(channels, inner, 1), nn.GroupNorm(32, inner)
        self.conv2, self.norm2 = StandardConv(inner, inner, 3, stride), nn.GroupNorm(32, inner)
        self.conv3, self.norm3 = StandardConv(inner, out_channels, 1), nn.GroupNorm(32, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        h = F.relu(self.norm2(self.conv2(h)))
        h = self.norm3(self.conv3(h))
        return F.relu(h + (self.downsample(x) if hasattr(self, "downsample") else x))


class Backbone(nn.Module):
    """The residual net: a quarter of the size after the stem, and half of that after each stage but the first."""

    def __init__(self, config: DptConfig) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"conv": StandardConv(3, config.stem, 7, 2), "norm": nn.GroupNorm(32, config.stem)})
        self.stages = nn.ModuleList()
        for number, (before, after) in enumerate(pairwise((config.stem, *config.stages))):
            rest = (Bottleneck(after, after, 1, first=False) for _ in range(config.blocks[number] - 1))
            first = Bottleneck(before, after, 1 if number == 0 else 2, first=True)
            self.stages.append(nn.ModuleDict({"blocks": nn.Sequential(first, *rest)}))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.stem["norm"](self.stem["conv"](x)))
        x = F.max_pool2d(_padded(x, 3, 2), 3, 2)  # the padding of 0 is below nothing: values are not negative
        features = []
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleDict)
            x = stage["blocks"](x)
            features.append(x)
        return features


class Attention(nn.Module):
    """Multi-head self-attention of tokens `(B, N, C)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, -1, HEAD_CHANNELS)).permute(2, 0, 3, 1, 4)
        out: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class Layer(nn.Module):
    """A layer of the transformer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))
        return out


class Transformer(nn.Module):
    """Pictures to maps of features: two of the residual net, and two of tokens `(B, 1 + N, C)` with their grid."""

    def __init__(self, config: DptConfig) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.places, config.width))
        projection = nn.Conv2d(config.stages[-1], config.width, 1)
        self.patch_embed = nn.ModuleDict({"backbone": Backbone(config), "proj": projection})
        self.blocks = nn.ModuleList(Layer(config.width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.head = nn.Linear(config.width, config.classes)
        self.read = (3 * config.layers // 4 - 1, config.layers - 1)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], tuple[int, int]]:
        maps = self.patch_embed["backbone"](x)
        patches = self.patch_embed["proj"](maps[-1])
        grid = (patches.shape[-2], patches.shape[-1])
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + self._places(grid)
        read = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens)
            if number in self.read:
                read.append(tokens)
        return maps[:2], read, grid

    def _places(self, grid: tuple[int, int]) -> Tensor:
        """The embeddings of places, stretched to `grid`."""
        first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        side = int(rest.shape[1] ** 0.5)
        if grid == (side, side):
            return self.pos_embed
        square = rest.transpose(1, 2).reshape(1, -1, side, side)
        stretched = F.interpolate(square, size=grid, mode="bilinear").flatten(2).transpose(1, 2)
        return torch.cat([first, stretched], dim=1)


class ReadOut(nn.Module):
    """Each token told of the first one, which stands for the whole picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * width, width), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        rest = tokens[:, 1:]
        out: Tensor = self.project(torch.cat([rest, tokens[:, :1].expand_as(rest)], dim=-1))
        return out


class Residual(nn.Module):
    """Two convolutions, added to the input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(F.relu(self.conv1(F.relu(x))))
        return out


class Fusion(nn.Module):
    """Adds a map of features to what came from coarser ones, and doubles the size."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        self.resConfUnit1 = Residual(features)
        self.resConfUnit2 = Residual(features)

    def forward(self, x: Tensor, finer: Tensor | None = None) -> Tensor:
        if finer is not None:
            x = x + self.resConfUnit1(finer)
        x = F.interpolate(self.resConfUnit2(x), scale_factor=2, mode="bilinear", align_corners=True)
        out: Tensor = self.out_conv(x)
        return out


class DptHybrid(nn.Module):
    """Pictures `(B, 3, H, W)` in -1..1, sides multiples of 32, to inverse depth `(B, H, W)`: larger is nearer."""

    def __init__(self, config: DptConfig) -> None:
        super().__init__()
        self.config = config
        width, features = config.width, config.features
        # places in these lists are those of the original's, in which some have no weights
        whole = [ReadOut(width), nn.Identity(), nn.Identity(), nn.Conv2d(width, width, 1)]
        half = [ReadOut(width), nn.Identity(), nn.Identity(), nn.Conv2d(width, width, 1)]
        half.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
        self.pretrained = nn.ModuleDict(
            {
                "model": Transformer(config),
                "act_postprocess3": nn.ModuleList(whole),
                "act_postprocess4": nn.ModuleList(half),
            }
        )
        self.scratch = nn.ModuleDict()
        for number, channels in enumerate((*config.stages[:2], width, width), start=1):
            self.scratch[f"layer{number}_rn"] = nn.Conv2d(channels, features, 3, padding=1, bias=False)
            self.scratch[f"refinenet{number}"] = Fusion(features)
        self.scratch["output_conv"] = nn.Sequential(
            nn.Conv2d(features, features // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(features // 2, LAST, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(LAST, 1, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        maps, read, grid = self.pretrained["model"](x)
        for number, tokens in enumerate(read, start=3):
            parts = list(self.pretrained[f"act_postprocess{number}"].children())
            feature = parts[0](tokens).transpose(1, 2).unflatten(2, grid)
            for part in parts[3:]:
                feature = part(feature)
            maps.append(feature)
        h: Tensor | None = None
        for number in (4, 3, 2, 1):
            feature, fuse = self.scratch[f"layer{number}_rn"](maps[number - 1]), self.scratch[f"refinenet{number}"]
            h = fuse(feature) if h is None else fuse(h, feature)
        depth: Tensor = self.scratch["output_conv"](h)
        return depth[:, 0]


def _padded(x: Tensor, side: int, stride: int) -> Tensor:
    """`x` with zeros about it, so that a window of `side` fits for every `stride` cells; the odd one behind."""
    missing = [max((-(-size // stride) - 1) * stride + side - size, 0) for size in x.shape[-2:]]
    (top, left) = (total // 2 for total in missing)
    return F.pad(x, (left, missing[1] - left, top, missing[0] - top)) if any(missing) else x
