"""Transformer parts of the UNet family: multi-head attention, GEGLU feed-forward, and the spatial transformer.

Source: Vaswani et al. 2017 (attention), Shazeer 2020 (GEGLU), Rombach et al. 2022, section 3.3 (cross-attention in the
UNet). Attribute names follow the key names of the published checkpoints.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.nets.patches import Site, after_self_attention, attention, sources


class Attention(nn.Module):
    """Multi-head attention of `x` `(B, N, C)` over `context` `(B, M, D)` (over itself when None).

    Products are taken in `dtype` (None: in that of `x`), see `attend_in`.
    """

    def __init__(self, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.dtype: torch.dtype | None = None
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels), nn.Identity())

    def forward(self, x: Tensor, context: Tensor | None = None, site: Site | None = None) -> Tensor:
        here = site and replace(site, kind="self" if context is None else "cross", tokens=x)
        keys, values = sources(here, x if context is None else context)
        q, k, v = (
            self._split(t if self.dtype is None else t.to(self.dtype))
            for t in (self.to_q(x), self.to_k(keys), self.to_v(values))
        )
        mixed = F.scaled_dot_product_attention(q, k, v) if here is None else attention(here, q, k, v)
        out: Tensor = self.to_out(mixed.to(x.dtype).transpose(1, 2).flatten(2))
        return out

    def _split(self, t: Tensor) -> Tensor:
        return t.reshape(*t.shape[:2], self.heads, -1).transpose(1, 2)


def attend_in(net: nn.Module, dtype: torch.dtype | None) -> None:
    """Let the attention of `net` take its products in `dtype` (None: in the type of all the rest).

    Those of Stable Diffusion 2 leave the range of float16 where a device adds them up in it.
    """
    for module in net.modules():
        if isinstance(module, Attention):
            module.dtype = dtype


class GegluProjection(nn.Module):
    """`x -> a * gelu(b)` with `a, b` the halves of a linear map."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.proj(x)
        value, gate = projected.chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU feed-forward with a hidden width of four times the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GegluProjection(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward, each after a LayerNorm and added to its input.

    With `cross_only` the first attention looks at the context, too.
    """

    def __init__(self, channels: int, context_channels: int, heads: int, cross_only: bool = False) -> None:
        super().__init__()
        self.cross_only = cross_only
        self.attn1 = Attention(channels, context_channels if cross_only else channels, heads)
        self.ff = FeedForward(channels)
        self.attn2 = Attention(channels, context_channels, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, x: Tensor, context: Tensor, site: Site | None = None) -> Tensor:
        x = x + self.attn1(self.norm1(x), context if self.cross_only else None, site)
        x = after_self_attention(site, x)
        x = x + self.attn2(self.norm2(x), context, site)
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class SpatialTransformer(nn.Module):
    """Transformer blocks over the positions of a feature map `(B, C, h, w)`, added to it.

    `linear_projection` projects tokens by a linear layer (SD2, SDXL) instead of a 1x1 convolution (SD1).
    """

    def __init__(
        self,
        channels: int,
        context_channels: int,
        heads: int,
        depth: int,
        linear_projection: bool,
        cross_only: bool = False,
    ) -> None:
        super().__init__()
        self.linear_projection = linear_projection
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = _projection(channels, linear_projection)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, context_channels, heads, cross_only) for _ in range(depth)
        )
        self.proj_out = _projection(channels, linear_projection)

    def forward(self, x: Tensor, context: Tensor, site: Site | None = None) -> Tensor:
        height, width = x.shape[-2:]
        h = self.norm(x)
        if not self.linear_projection:
            h = self.proj_in(h)
        h = h.flatten(2).transpose(1, 2)
        if self.linear_projection:
            h = self.proj_in(h)
        for layer in range(len(self.transformer_blocks)):
            h = self._layer(layer, h, context, site and site.inside(layer, (height, width)))
        if self.linear_projection:
            h = self.proj_out(h)
        h = h.transpose(1, 2).unflatten(2, (height, width))
        if not self.linear_projection:
            h = self.proj_out(h)
        out: Tensor = x + h
        return out

    def _layer(self, layer: int, h: Tensor, context: Tensor, site: Site | None) -> Tensor:
        """Tokens `(B, N, C)` through one block."""
        out: Tensor = self.transformer_blocks[layer](h, context, site)
        return out


def _projection(channels: int, linear: bool) -> nn.Module:
    return nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)
