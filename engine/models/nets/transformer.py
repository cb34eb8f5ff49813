"""Parts that the diffusion transformers share: patches, positions, attention, and modulated layers.

Source: Dosovitskiy et al. 2020 (patches), Vaswani et al. 2017 (sinusoids), Peebles and Xie 2022, section 3.2 (DiT).
Attribute names follow the key names of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.foundation.errors import EaselError
from engine.models.nets.patches import Call, Patch, Site, attention, sources, started, through
from engine.models.nets.unet import timestep_embedding

NORM_EPS = 1e-6  # of norms without weights
WIDE_HEAD, HEAD = 72, 64  # channels of a head: of the XL and H sizes (16 heads in 1152 channels), and of all others
_OF_FEATURE_MAPS = ("skipped", "passed", "joined", "after_self_attention")


class UnfitPatchError(EaselError):
    """A patch for a net of another kind."""

    code: ClassVar[str] = "unfit_patch"


def started_in_tokens(patches: tuple[Patch, ...], call: Call, width: int) -> Site | None:
    """Where patches are asked first in a call of a net without feature maps; None without patches.

    Raises `UnfitPatchError` for patches that would change some.
    """
    for patch in patches:
        if any(getattr(type(patch), hook) is not getattr(Patch, hook) for hook in _OF_FEATURE_MAPS):
            raise UnfitPatchError(
                "this model's net is a transformer and has no feature maps, which a node before it would change",
                where="input model",
                got=type(patch).__name__,
                expected="changes of attention or of whole blocks",
                hint="FreeU, deep shrink, ControlNets, T2I-Adapters and GLIGEN work on UNets only.",
            )
    return started(patches, call, width)


def head_count(width: int) -> int:
    """The attention heads of a net of `width` channels, which no shape tells; see `WIDE_HEAD`."""
    return width // WIDE_HEAD if width % WIDE_HEAD == 0 else max(1, width // HEAD)


class PatchEmbedding(nn.Module):
    """Squares of cells, each one token: `(B, C, h, w)` to `(B, N, width)`, row by row."""

    def __init__(self, in_channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return out


class NumberEmbedding(nn.Module):
    """Numbers `(B,)`, such as timesteps, as sinusoids of `waves` channels and then `(B, width)`."""

    def __init__(self, waves: int, width: int) -> None:
        super().__init__()
        self.waves = waves
        self.mlp = nn.Sequential(nn.Linear(waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, numbers: Tensor, dtype: torch.dtype) -> Tensor:
        out: Tensor = self.mlp(timestep_embedding(numbers, self.waves).to(dtype))
        return out


class SelfAttention(nn.Module):
    """Attention among tokens `(B, N, width)`; queries, keys and values come out of one layer."""

    def __init__(self, width: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, site: Site | None = None) -> Tensor:
        q, k, v = self._split(x)
        if site is None:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            here = replace(site, kind="self", tokens=x)
            keys, values = sources(here, x)
            if keys is not x:
                k = self._split(keys)[1]
            if values is not x:
                v = self._split(values)[2]
            mixed = attention(here, q, k, v)
        return joined_heads(mixed, self.proj)

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        return split_heads(self.qkv(x), 3, self.heads)


def split_heads(projected: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """`parts` tensors `(B, heads, N, C / heads)` that lie side by side in `projected` `(B, N, parts * C)`."""
    batch, count, width = projected.shape
    return projected.reshape(batch, count, parts, heads, width // parts // heads).permute(2, 0, 3, 1, 4).unbind()


def joined_heads(mixed: Tensor, projection: nn.Module) -> Tensor:
    """What attention gives, `(B, heads, N, C / heads)`, as `(B, N, C)` through its last layer."""
    out: Tensor = projection(mixed.transpose(1, 2).flatten(2))
    return out


class Mlp(nn.Module):
    """Two layers with a Gaussian error unit between them, by its approximation (tanh) or exact."""

    def __init__(self, width: int, hidden: int, out: int | None = None, *, exact: bool = False) -> None:
        super().__init__()
        self.approximate = "none" if exact else "tanh"
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out or width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))
        return out


def token_activations(tokens: int, width: int, hidden: int) -> int:
    """Numbers alive at the most in a block: tokens before it and in it, their norm, and a hidden layer twice."""
    return tokens * (3 * width + 2 * hidden)


def token_count(height: int, width: int, patch: int) -> int:
    """How many squares of `patch` cells fill a picture."""
    return -(-height // patch) * -(-width // patch)


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Tokens `(B, N, C)` at mean 0 and deviation 1 each, scaled and shifted by `(B, 1, C)`."""
    return F.layer_norm(x, x.shape[-1:], eps=NORM_EPS) * (1 + scale) + shift


def positions(width: int, cells: tuple[int, int], span: float, like: Tensor) -> Tensor:
    """Sinusoids `(1, N, width)` of the places of `cells` (rows, columns): columns first, then rows.

    Places run from 0 to `span` along each side, however many there are, so a net meets the same range at every size.
    Source: Peebles and Xie 2022, section 3.2; Chen et al. 2023 (PixArt-alpha), appendix, for other sizes.
    """
    rows, columns = (_sinusoids(width // 2, count, span, like.device) for count in cells)
    both = torch.cat([columns[None].expand(cells[0], -1, -1), rows[:, None].expand(-1, cells[1], -1)], dim=2)
    return both.reshape(1, cells[0] * cells[1], width).to(like)


def _sinusoids(channels: int, count: int, span: float, device: torch.device) -> Tensor:
    """Sines, then cosines `(count, channels)` of places `span / count` apart."""
    places = torch.arange(count, dtype=torch.float64, device=device) * (span / count)
    half = channels // 2
    frequencies = 10_000.0 ** -(torch.arange(half, dtype=torch.float64, device=device) / half)
    angles = places[:, None] * frequencies[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def in_squares(x: Tensor, patch: int) -> tuple[Tensor, tuple[int, int]]:
    """`x` `(B, C, h, w)` with its last row and column repeated until squares of `patch` cells fill it; rows and columns
    of squares.
    """
    right, below = -x.shape[-1] % patch, -x.shape[-2] % patch
    filled = F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x
    return filled, (filled.shape[-2] // patch, filled.shape[-1] // patch)


def through_blocks(
    start: Site | None, blocks: Iterable[nn.Module], tokens: Tensor, cells: tuple[int, int], **given: Tensor
) -> Tensor:
    """Tokens `(B, N, C)` after all `blocks` of a net, each of which is `given` the same beside them and its site."""
    for number, block in enumerate(blocks):
        site = start and replace(start, part="stack", block=number, layer=number, cells=cells)
        tokens = through(site, tokens, partial(block, site=site, **given))
    return tokens


def picture_of(tokens: Tensor, cells: tuple[int, int], patch: int) -> Tensor:
    """Tokens `(B, N, patch * patch * C)` of `cells` put together, `(B, C, h, w)`.

    In each token the channels of one place lie side by side.
    """
    rows, columns = cells
    squares = tokens.reshape(len(tokens), rows, columns, patch, patch, -1)
    return squares.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), -1, rows * patch, columns * patch)
