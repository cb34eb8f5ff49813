"""SwinIR: attention in shifted windows (Liang et al. 2021, section 3; windows as in Liu et al. 2021, Swin)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Ending: TypeAlias = Literal["shuffle", "direct", "nearest", "none"]
"""How the features become a larger picture: pixel shuffles with convolutions about them, one alone, convolutions after
nearest-neighbour enlargement, or not at all: then the net gives a change to a picture of the same size."""

END_FEATURES = 64
MEAN = (0.4488, 0.4371, 0.4040)  # of the training set DIV2K; grey pictures are not centred
SLOPE = 0.2
HIDDEN_FOREVER = -100.0  # what is added where positions do not see each other, as in training


@dataclass(frozen=True, slots=True)
class SwinConfig:
    """Shape of the net. `depths` and `heads` have one entry a layer; `shifted` is off where training pictures were one
    window; `range` is what the net calls white (255 in the models for compressed pictures)."""

    channels: int = 3
    width: int = 180
    depths: tuple[int, ...] = (6, 6, 6, 6, 6, 6)
    heads: tuple[int, ...] = (6, 6, 6, 6, 6, 6)
    window: int = 8
    mlp_width: int = 360
    ending: Ending = "shuffle"
    scale: int = 4
    three_convolutions: bool = False
    shifted: bool = True
    range: float = 1.0

    @property
    def bytes_per_pixel(self) -> int:
        """Roughly what the activations of one input pixel take at the peak, in float32."""
        attention = 2 * max(self.heads) * self.window**2
        return 4 * (6 * self.width + attention + 4 * END_FEATURES * self.scale**2)


class WindowAttention(nn.Module):
    """Attention within windows `(n, window ** 2, width)`, with a bias for each pair of places."""

    def __init__(self, config: SwinConfig, heads: int) -> None:
        super().__init__()
        self.heads = heads
        side = config.window
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        self.places: Tensor
        self.register_buffer("places", _relative_places(side), persistent=False)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """`hidden` `(windows of a picture, window ** 2, window ** 2)` is added to the scores; None: all is seen."""
        count, tokens, width = x.shape
        query, key, value = self.qkv(x).reshape(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.places].reshape(tokens, tokens, -1).permute(2, 0, 1)[None]
        if hidden is not None:
            pictures = count // len(hidden)
            bias = (bias + hidden[:, None].to(bias)).repeat(pictures, 1, 1, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.expand(count, -1, -1, -1))
        result: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, tokens, width))
        return result


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result


class SwinBlock(nn.Module):
    """Attention in windows, which every other block moves by half a window, then an MLP. `x` is `(B, H, W, width)`."""

    def __init__(self, config: SwinConfig, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.window = config.window
        self.shift = config.window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(config.width)
        self.attn = WindowAttention(config, heads)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        moved = self.norm1(x)
        hidden = None
        if self.shift:
            moved = moved.roll((-self.shift, -self.shift), dims=(1, 2))
            hidden = _hidden(height, width, self.window, self.shift, x.device)
        mixed = _joined(self.attn(_windows(moved, self.window), hidden), self.window, height, width)
        if self.shift:
            mixed = mixed.roll((self.shift, self.shift), dims=(1, 2))
        x = x + mixed
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class Blocks(nn.Module):
    """The blocks of a layer, under the name that files give them."""

    def __init__(self, config: SwinConfig, depth: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(SwinBlock(config, heads, shifted=config.shifted and number % 2 == 1) for number in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.blocks(x)
        return result


class Layer(nn.Module):
    """Blocks and a convolution, and the way around them."""

    def __init__(self, config: SwinConfig, depth: int, heads: int) -> None:
        super().__init__()
        self.residual_group = Blocks(config, depth, heads)
        self.conv = _body_convolution(config)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv(self.residual_group(x).movedim(-1, 1))
        return x + change.movedim(1, -1)


class PatchNorm(nn.Module):
    """The norm of the features, under the name that files give it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(x)
        return result


class SwinIR(nn.Module):
    """Pictures `(B, C, H, W)` in 0..1 to `(B, C, H * scale, W * scale)`."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.conv_first = nn.Conv2d(config.channels, width, 3, padding=1)
        self.patch_embed = PatchNorm(width)
        pairs = zip(config.depths, config.heads, strict=True)
        self.layers = nn.Sequential(*(Layer(config, depth, heads) for depth, heads in pairs))
        self.norm = nn.LayerNorm(width)
        self.conv_after_body = _body_convolution(config)
        self._add_ending()

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        mean = torch.tensor(MEAN if x.shape[1] == 3 else (0.0,), device=x.device, dtype=x.dtype)[:, None, None]
        x = (_padded(x, self.config.window) - mean) * self.config.range
        features = self.conv_first(x)
        body = self.norm(self.layers(self.patch_embed(features.movedim(1, -1)))).movedim(-1, 1)
        picture = self._ended(x, features + self.conv_after_body(body)) / self.config.range + mean
        scale = self.config.scale
        return picture[..., : height * scale, : width * scale]

    def _add_ending(self) -> None:
        width, channels, scale = self.config.width, self.config.channels, self.config.scale
        match self.config.ending:
            case "direct":
                self.upsample = nn.Sequential(nn.Conv2d(width, channels * scale**2, 3, padding=1))
                return
            case "none":
                self.conv_last = nn.Conv2d(width, channels, 3, padding=1)
                return
            case "shuffle":
                self.upsample = _shuffles(scale)
            case "nearest":
                for number in range(1, scale.bit_length()):
                    self.add_module(f"conv_up{number}", nn.Conv2d(END_FEATURES, END_FEATURES, 3, padding=1))
                self.conv_hr = nn.Conv2d(END_FEATURES, END_FEATURES, 3, padding=1)
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(width, END_FEATURES, 3, padding=1), nn.LeakyReLU())
        self.conv_last = nn.Conv2d(END_FEATURES, channels, 3, padding=1)

    def _ended(self, x: Tensor, features: Tensor) -> Tensor:
        result: Tensor
        match self.config.ending:
            case "direct":
                result = F.pixel_shuffle(self.upsample(features), self.config.scale)
            case "none":
                result = x + self.conv_last(features)
            case "shuffle":
                result = self.conv_last(self.upsample(self.conv_before_upsample(features)))
            case "nearest":
                features = self.conv_before_upsample(features)
                for number in range(1, self.config.scale.bit_length()):
                    larger = F.interpolate(features, scale_factor=2, mode="nearest")
                    features = F.leaky_relu(self.get_submodule(f"conv_up{number}")(larger), SLOPE)
                result = self.conv_last(F.leaky_relu(self.conv_hr(features), SLOPE))
        return result


def _body_convolution(config: SwinConfig) -> nn.Module:
    width = config.width
    if not config.three_convolutions:
        return nn.Conv2d(width, width, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(width, width // 4, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(width // 4, width // 4, 1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(width // 4, width, 3, padding=1),
    )


def _shuffles(scale: int) -> nn.Sequential:
    steps = [3] if scale == 3 else [2] * (scale.bit_length() - 1)
    pairs = ((nn.Conv2d(END_FEATURES, END_FEATURES * n**2, 3, padding=1), nn.PixelShuffle(n)) for n in steps)
    return nn.Sequential(*(module for pair in pairs for module in pair))


def _padded(x: Tensor, multiple: int) -> Tensor:
    """`x` mirrored at its right and lower edge to multiples of the window; too small for that, its edge repeated."""
    height, width = x.shape[-2:]
    down, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, down), mode="reflect" if down < height and right < width else "replicate")


def _windows(x: Tensor, side: int) -> Tensor:
    """`(B, H, W, C)` to `(B * windows, side ** 2, C)`."""
    batch, height, width, channels = x.shape
    split = x.reshape(batch, height // side, side, width // side, side, channels).transpose(2, 3)
    return split.reshape(-1, side * side, channels)


def _joined(windows: Tensor, side: int, height: int, width: int) -> Tensor:
    split = windows.reshape(-1, height // side, width // side, side, side, windows.shape[-1]).transpose(2, 3)
    return split.reshape(-1, height, width, windows.shape[-1])


def _relative_places(side: int) -> Tensor:
    """For each pair of places in a window `(side ** 4,)` the row of the bias table that holds their offset."""
    axis = torch.arange(side, device="cpu")
    rows, columns = (grid.flatten() for grid in torch.meshgrid(axis, axis, indexing="ij"))
    down = rows[:, None] - rows + side - 1
    right = columns[:, None] - columns + side - 1
    return (down * (2 * side - 1) + right).flatten()


def _hidden(height: int, width: int, side: int, shift: int, device: torch.device) -> Tensor:
    """Of windows that moving about the edges made of parts of the picture that do not touch, which pairs are hidden."""
    parts = []
    for length in (height, width):
        part = torch.zeros(length, device=device)
        part[length - side : length - shift], part[length - shift :] = 1, 2
        parts.append(part)
    areas = _windows((3 * parts[0][:, None] + parts[1])[None, ..., None], side)[..., 0]
    return (areas[:, :, None] != areas[:, None, :]).float() * HIDDEN_FOREVER
