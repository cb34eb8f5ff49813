"""GLIGEN: boxes with phrases become tokens that gated self-attention lets a UNet look at.

Source: Li et al. 2023 (GLIGEN), sections 3.2 (grounding tokens) and 3.3 (gated self-attention). Key names are those of
the original files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.nets.attention import Attention, FeedForward

FREQUENCIES = 8
BOX_CHANNELS = 2 * 4 * FREQUENCIES
_BASE = 100.0


@dataclass(frozen=True, slots=True)
class GligenConfig:
    """Phrases of width `phrase`, tokens of width `tokens`, and the channels of each gated layer by its place."""

    phrase: int
    hidden: int
    tokens: int
    layers: Mapping[str, int]


class PositionNet(nn.Module):
    """Boxes with phrases as tokens; places without a box hold what was learnt to stand for none."""

    def __init__(self, config: GligenConfig) -> None:
        super().__init__()
        self.linears = nn.Sequential(
            nn.Linear(config.phrase + BOX_CHANNELS, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.tokens),
        )
        self.null_positive_feature = nn.Parameter(torch.zeros(config.phrase))
        self.null_position_feature = nn.Parameter(torch.zeros(BOX_CHANNELS))

    def forward(self, boxes: Tensor, phrases: Tensor, there: Tensor) -> Tensor:
        """Tokens `(B, N, D)` for boxes `(B, N, 4)`, phrases `(B, N, P)`, and whether there is one `(B, N)`."""
        mask = there[..., None].to(boxes.dtype)
        places = box_waves(boxes) * mask + (1 - mask) * self.null_position_feature
        words = phrases * mask + (1 - mask) * self.null_positive_feature
        out: Tensor = self.linears(torch.cat([words, places], dim=-1))
        return out


class GatedAttention(nn.Module):
    """Self-attention and a feed-forward over tokens of the picture and of boxes, both added through a gate."""

    def __init__(self, channels: int, tokens: int) -> None:
        super().__init__()
        self.linear = nn.Linear(tokens, channels)
        self.attn = Attention(channels, channels, 1)
        self.ff = FeedForward(channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.alpha_attn = nn.Parameter(torch.zeros(()))
        self.alpha_dense = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, boxes: Tensor, heads: int) -> Tensor:
        """`x` `(B, N, C)` after the layer, for box tokens `(B, M, D)`; `heads` are those of the net's attention."""
        both = self.norm1(torch.cat([x, self.linear(boxes)], dim=1))
        q, k, v = (
            layer(t).unflatten(-1, (heads, -1)).transpose(1, 2)
            for layer, t in ((self.attn.to_q, both[:, : x.shape[1]]), (self.attn.to_k, both), (self.attn.to_v, both))
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.alpha_attn.tanh() * self.attn.to_out(mixed)
        out: Tensor = x + self.alpha_dense.tanh() * self.ff(self.norm2(x))
        return out


class Gligen(nn.Module):
    """The position net, and the gated layers by the places of their transformer blocks, dots written as underscores."""

    def __init__(self, config: GligenConfig) -> None:
        super().__init__()
        self.config = config
        self.position_net = PositionNet(config)
        self.fusers = nn.ModuleDict(
            {place: GatedAttention(channels, config.tokens) for place, channels in config.layers.items()}
        )


def box_waves(boxes: Tensor) -> Tensor:
    """Sinusoids `(B, N, 64)` of boxes `(B, N, 4)`, corners in 0..1: by frequency, sine first, then by corner."""
    steps = torch.arange(FREQUENCIES, dtype=torch.float32, device=boxes.device) / FREQUENCIES
    angles = boxes.float()[..., None, :] * (_BASE**steps)[:, None]
    return torch.stack([angles.sin(), angles.cos()], dim=-2).flatten(-3).to(boxes.dtype)
