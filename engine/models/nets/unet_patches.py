"""The published patches of the UNet family: FreeU, tiled or scaled attention, merged tokens, a shrunk middle."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from engine.foundation.bounds import within
from engine.models.nets.patches import Attend, Patch, Site
from engine.tensors.resample import resize

CELL = 8  # pixels per latent cell, in which tile sizes are given
LEAST_TILE = 32  # pixels


@dataclass(frozen=True, slots=True)
class FreeU(Patch):
    """On the way up, half the channels of the backbone are amplified and the skips' low frequencies damped.

    The first of `backbone` and `skips` is for feature maps of four times the net's width, the second for those of
    twice; 1 leaves them as they are. With `adaptive` (version 2), the amplification follows the mean over the channels
    in each cell, from 1 where it is least to the full factor. Source: Si et al. 2023 (FreeU).
    """

    backbone: tuple[float, float]
    skips: tuple[float, float]
    adaptive: bool = False

    def __post_init__(self) -> None:
        for number in (0, 1):
            within(f"b{number + 1}", self.backbone[number], 0.0, 10.0)
            within(f"s{number + 1}", self.skips[number], 0.0, 10.0)

    def joined(self, site: Site, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """The feature maps before an output block takes both."""
        stage = {4 * site.width: 0, 2 * site.width: 1}.get(x.shape[1])
        if stage is None:
            return x, skip
        return self._amplified(x, self.backbone[stage]), _damped(skip, self.skips[stage])

    def _amplified(self, x: Tensor, factor: float) -> Tensor:
        if factor == 1:
            return x
        half = x.shape[1] // 2
        if not self.adaptive:
            return torch.cat([x[:, :half] * factor, x[:, half:]], dim=1)
        mean = x.mean(dim=1, keepdim=True)
        low, high = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
        share = (mean - low) / (high - low).clamp(min=torch.finfo(x.dtype).tiny)
        return torch.cat([x[:, :half] * (1 + (factor - 1) * share), x[:, half:]], dim=1)


def _damped(x: Tensor, factor: float) -> Tensor:
    """`x` with its four lowest frequencies times `factor`."""
    if factor == 1:
        return x
    wide = x if x.dtype.itemsize >= 4 else x.float()  # transforms of half precision are unsound
    spectrum = torch.fft.fftshift(torch.fft.fft2(wide), dim=(-2, -1))
    row, column = x.shape[-2] // 2, x.shape[-1] // 2
    mask = torch.ones(x.shape[-2:], dtype=wide.dtype, device=x.device)
    mask[max(0, row - 1) : row + 1, max(0, column - 1) : column + 1] = factor
    filtered: Tensor = torch.fft.ifft2(torch.fft.ifftshift(spectrum * mask, dim=(-2, -1))).real
    return filtered.to(x.dtype)


@dataclass(frozen=True, slots=True)
class Tiled(Patch):
    """Self-attention within tiles of at least `tile_size` pixels, on levels halved up to `max_depth` times.

    A side is cut into whole tiles of one of the `swap_size` smallest sizes that fit, another in each layer and at each
    sigma so that no seam stays; which one follows from these alone. `scale_depth` makes tiles larger on halved levels.
    Source: HyperTile (tfernd 2023).
    """

    tile_size: int = 256
    swap_size: int = 2
    max_depth: int = 0
    scale_depth: bool = False

    def __post_init__(self) -> None:
        within("tile_size", self.tile_size, 1)
        within("swap_size", self.swap_size, 1)
        within("max_depth", self.max_depth, 0)

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`."""
        if site.kind != "self" or site.cells is None or site.level > self.max_depth:
            return attend(site, q, k, v)
        least = max(LEAST_TILE, self.tile_size) // CELL * (2**site.level if self.scale_depth else 1)
        draw = random.Random(f"{site.sigma:.6g} {site.part} {site.block} {site.layer}")
        rows, columns = (_tiles(side, least, self.swap_size, draw) for side in site.cells)
        if rows * columns == 1:
            return attend(site, q, k, v)
        (height, width), batch = site.cells, len(q)

        tall, wide = height // rows, width // columns

        def cut(t: Tensor) -> Tensor:
            tiles = t.reshape(batch, t.shape[1], rows, tall, columns, wide, -1).permute(0, 2, 4, 1, 3, 5, 6)
            return tiles.reshape(batch * rows * columns, t.shape[1], tall * wide, -1)

        tokens = None if site.tokens is None else cut(site.tokens[:, None])[:, 0]
        tiles = attend(replace(site, cells=(tall, wide), tokens=tokens), cut(q), cut(k), cut(v))
        tiles = tiles.reshape(batch, rows, columns, -1, tall, wide, v.shape[-1]).permute(0, 3, 1, 4, 2, 5, 6)
        return tiles.reshape(batch, -1, height * width, v.shape[-1])


def _tiles(side: int, least: int, options: int, draw: random.Random) -> int:
    """Into how many tiles to cut a side: one of the `options` largest numbers that leave at least `least` cells."""
    sizes = [size for size in range(min(least, side), side + 1) if side % size == 0]
    return side // draw.choice(sizes[:options])


@dataclass(frozen=True, slots=True)
class Merged(Patch):
    """Self-attention on the finest level for fewer queries: a share `ratio` of them is merged with similar ones.

    Of each square of four cells one, drawn once for all, may take up others. Keys and values stay whole, which costs
    little and keeps detail. Source: Bolya and Hoffman 2023 (ToMe for Stable Diffusion).
    """

    ratio: float = 0.3

    def __post_init__(self) -> None:
        within("ratio", self.ratio, 0.0, 1.0)

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`."""
        if site.kind != "self" or site.cells is None or site.tokens is None or site.level > 0:
            return attend(site, q, k, v)
        count = int(q.shape[2] * self.ratio)
        if count == 0 or min(site.cells) < 2:
            return attend(site, q, k, v)
        place = merged_places(site.tokens, site.cells, count)[:, None, :, None]
        merged = q.new_zeros(*q.shape[:2], q.shape[2] - min(count, q.shape[2] - _takers(site.cells)), q.shape[3])
        merged = merged.scatter_reduce(2, place.expand_as(q), q, "mean", include_self=False)
        inner = replace(site, cells=None, tokens=None)
        out = attend(inner, merged, k, v)
        return out.gather(2, place.expand(*out.shape[:2], -1, out.shape[3]))


def _takers(cells: tuple[int, int]) -> int:
    """How many tokens may take up others."""
    return (cells[0] // 2) * (cells[1] // 2)


def merged_places(tokens: Tensor, cells: tuple[int, int], count: int) -> Tensor:
    """For each of `tokens` `(B, h * w, C)` its place `(B, h * w)` in the merged row, `count` shorter where possible.

    Tokens are merged with the most similar (by cosine) of those that take up others, the most similar pairs first.
    """
    height, width = cells
    corners = torch.randint(4, (height // 2, width // 2), generator=torch.Generator().manual_seed(0))
    rows = 2 * torch.arange(height // 2)[:, None] + corners // 2
    columns = 2 * torch.arange(width // 2)[None] + corners % 2
    takes = torch.zeros(height * width, dtype=torch.bool)
    takes[(rows * width + columns).flatten()] = True
    taking, giving = (side.nonzero()[:, 0].to(tokens.device) for side in (takes, ~takes))
    unit = tokens / tokens.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(tokens.dtype).tiny)
    likeness, best = (unit[:, giving] @ unit[:, taking].transpose(1, 2)).max(dim=-1)
    count = min(count, len(giving))
    kept = len(giving) - count
    order = likeness.argsort(dim=-1, descending=True, stable=True)
    own = torch.arange(len(giving), device=tokens.device) - count
    places = torch.where(own < 0, kept + best.gather(1, order), own)
    result = torch.empty(tokens.shape[:2], dtype=torch.long, device=tokens.device)
    result[:, taking] = kept + torch.arange(len(taking), device=tokens.device)
    result[:, giving] = torch.empty_like(places).scatter(1, order, places)
    return result


@dataclass(frozen=True, slots=True)
class Shrunk(Patch):
    """Feature maps are `factor` times smaller from an input block on, while sigma is in `low..high`.

    The first steps then lay out large pictures as the net knows small ones. Source: Kohya's deep shrink (2023).
    """

    block: int = 3
    factor: float = 2.0
    low: float = 0.0
    high: float = math.inf
    after_skip: bool = True
    shrink: str = "bicubic"
    grow: str = "bicubic"

    def __post_init__(self) -> None:
        within("block_number", self.block, 1)
        within("downscale_factor", self.factor, 0.1, 9.0)

    def skipped(self, site: Site, x: Tensor) -> Tensor:
        """The feature map before it is kept for the way up."""
        return x if self.after_skip else self._shrunk(site, x)

    def passed(self, site: Site, x: Tensor) -> Tensor:
        """The feature map as it goes on down."""
        return self._shrunk(site, x) if self.after_skip else x

    def joined(self, site: Site, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """The feature map in the size of the one kept on the way down."""
        if x.shape[-2:] == skip.shape[-2:]:
            return x, skip
        return _resized(x, skip.shape[-1], skip.shape[-2], self.grow), skip

    def _shrunk(self, site: Site, x: Tensor) -> Tensor:
        if site.block != self.block or not self.low <= site.sigma <= self.high or self.factor == 1:
            return x
        height, width = (max(1, round(side / self.factor)) for side in x.shape[-2:])
        return _resized(x, width, height, self.shrink)


def _resized(x: Tensor, width: int, height: int, method: str) -> Tensor:
    """`x` in another size, computed in single precision: angles of half precision are no angles."""
    wide = x if x.dtype.itemsize >= 4 else x.float()
    return resize(wide, width, height, method).to(x.dtype)


@dataclass(frozen=True, slots=True)
class Multiplied(Patch):
    """Queries, keys, values and results of all attention of one kind, each times a number."""

    kind: Literal["self", "cross"]
    q: float = 1.0
    k: float = 1.0
    v: float = 1.0
    out: float = 1.0

    def __post_init__(self) -> None:
        for name in ("q", "k", "v", "out"):
            within(name, getattr(self, name), 0.0, 10.0)

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`."""
        if site.kind != self.kind:
            return attend(site, q, k, v)
        return attend(site, q * self.q, k * self.k, v * self.v) * self.out


@dataclass(frozen=True, slots=True)
class Unattended(Patch):
    """In the middle of the net every token attends to itself only (Ahn et al. 2024, PAG)."""

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`."""
        return v if site.part == "middle" and site.kind == "self" else attend(site, q, k, v)


class AttentionRecord(Patch):
    """Keeps how much each cell is attended to in the first self-attention of the middle, for one evaluation.

    `maps` has one `(B, h, w)` a call of the net: means over the heads, summed over the queries, so 1 on average.
    """

    __slots__ = ("maps",)

    def __init__(self) -> None:
        self.maps: list[Tensor] = []

    def attention(self, site: Site, q: Tensor, k: Tensor, v: Tensor, attend: Attend) -> Tensor:
        """Attention `(B, heads, N, C / heads)`, as it is."""
        if site.part == "middle" and site.kind == "self" and site.layer == 0 and site.cells is not None:
            weights = torch.softmax(q.float() @ k.float().transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
            self.maps.append(weights.mean(dim=1).sum(dim=1).reshape(-1, *site.cells))
        return attend(site, q, k, v)
