"""Layers over the frames of videos, which stand behind layers over single frames and are mixed with them.

Source: Blattmann et al. 2023 (Video LDM, section 3.1; Stable Video Diffusion, appendix D), with the key names of the
published files. A frame is a row of a batch `(V * F, ...)`, the frames of one video behind each other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.models.nets.attention import Attention, FeedForward


class TimeMixer(nn.Module):
    """A learned share between what single frames and what their sequence gave."""

    def __init__(self) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.zeros(1))

    def forward(self, still: Tensor, moving: Tensor) -> Tensor:
        return mixed(self.mix_factor, still, moving)


def mixed(factor: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """A share, `sigmoid(factor)`, of `first`, and the rest of `second`."""
    return torch.lerp(second, first, factor.sigmoid().to(first.dtype))


class TimeResBlock(nn.Module):
    """Two convolutions over time with an embedding of every frame added between them, added to the input.

    Norms are over all frames of a video. Without `embedding_channels` there is no embedding.
    """

    def __init__(self, channels: int, embedding_channels: int | None = None) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), time_convolution(channels))
        if embedding_channels is not None:
            self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_channels, channels))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, channels), nn.SiLU(), nn.Identity(), time_convolution(channels)
        )

    def forward(self, x: Tensor, frames: int, embedding: Tensor | None = None) -> Tensor:
        """`x` `(V * F, C, h, w)` for videos of `frames`, `embedding` `(V * F, E)`."""
        videos = x.reshape(-1, frames, *x.shape[1:]).transpose(1, 2)
        h: Tensor = self.in_layers(videos)
        if embedding is not None:
            told = self.emb_layers(embedding).reshape(-1, frames, h.shape[1])
            h = h + told.transpose(1, 2)[..., None, None]
        out: Tensor = videos + self.out_layers(h)
        return out.transpose(1, 2).flatten(0, 1)


class TimeBlock(nn.Module):
    """A transformer block whose tokens are one position in all frames of a video; a feed-forward stands before it."""

    def __init__(self, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(channels)
        self.ff_in = FeedForward(channels)
        self.attn1 = Attention(channels, channels, heads)
        self.ff = FeedForward(channels)
        self.attn2 = Attention(channels, context_channels, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, x: Tensor, context: Tensor, frames: int) -> Tensor:
        """Tokens `x` `(V * F, N, C)` of videos of `frames`, which all see `context` `(V, T, D)`."""
        _, positions, channels = x.shape
        x = x.reshape(-1, frames, positions, channels).transpose(1, 2).flatten(0, 1)
        x = x + self.ff_in(self.norm_in(x))
        x = x + self.attn1(self.norm1(x))
        # every position sees the same tokens, whose keys and values are computed once a video
        seen = self.attn2(self.norm2(x).view(-1, positions * frames, channels), context)
        x = x + seen.view_as(x)
        out: Tensor = x + self.ff(self.norm3(x))
        return out.reshape(-1, positions, frames, channels).transpose(1, 2).flatten(0, 1)


def time_convolution(channels: int) -> nn.Conv3d:
    """A convolution over three frames `(V, C, F, h, w)`."""
    return nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
