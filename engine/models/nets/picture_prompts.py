"""Nets that turn what an image tower sees into tokens beside those of a text.

Sources: Ye et al. 2023 (IP-Adapter), section 3.2, with the resampler of Alayrac et al. 2022 (Flamingo, figure 5) for
its plus form; Mou et al. 2023 (T2I-Adapter) for the style adapter. Key names are those of the original files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.nets.control import Mlp

HEAD_CHANNELS = 64  # of the resampler
STYLE_HEADS = 8


class Projection(nn.Module):
    """The plain form: one picture's embedding becomes a few tokens."""

    def __init__(self, channels: int, tokens: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, tokens * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, T, D)` of embeddings `(B, P)`."""
        width = self.norm.normalized_shape[0]
        out: Tensor = self.norm(self.proj(x).unflatten(-1, (-1, width)))
        return out


class FullProjection(nn.Module):
    """The full form: every state of the tower becomes a token."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, width), nn.LayerNorm(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, T, D)` of states `(B, T, C)`."""
        out: Tensor = self.proj(x)
        return out


class PerceiverAttention(nn.Module):
    """Queries that look at states and at each other."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(channels, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor, queries: Tensor) -> Tensor:
        """What is added to `queries` `(B, Q, C)` for states `x` `(B, T, C)`."""
        seen, asked = self.norm1(x), self.norm2(queries)
        keys, values = self.to_kv(torch.cat([seen, asked], dim=1)).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (-1, HEAD_CHANNELS)).transpose(1, 2) for t in (self.to_q(asked), keys, values))
        out: Tensor = self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class Resampler(nn.Module):
    """The plus form: learnt queries gather what they need from all states of the tower."""

    def __init__(
        self, channels: int, hidden: int, width: int, queries: int, layers: int, inner: int, feed_forward: int
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(1, queries, hidden))
        self.proj_in = nn.Linear(channels, hidden)
        self.proj_out = nn.Linear(hidden, width)
        self.norm_out = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(hidden, inner),
                    nn.Sequential(
                        nn.LayerNorm(hidden),
                        nn.Linear(hidden, feed_forward, bias=False),
                        nn.GELU(),
                        nn.Linear(feed_forward, hidden, bias=False),
                    ),
                ]
            )
            for _ in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, Q, D)` of states `(B, T, C)`."""
        seen, queries = self.proj_in(x), self.latents.expand(len(x), -1, -1)
        for layer in self.layers:
            attention, feed_forward = layer.children()
            queries = queries + attention(seen, queries)
            queries = queries + feed_forward(queries)
        out: Tensor = self.norm_out(self.proj_out(queries))
        return out


class PictureAttention(nn.Module):
    """Keys and values of a picture's tokens, for one layer of a UNet."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(width, channels, bias=False)
        self.to_v_ip = nn.Linear(width, channels, bias=False)


class IPAdapter(nn.Module):
    """A net for the picture's tokens, and keys and values for each cross-attention, numbered as in the files."""

    def __init__(self, image_proj: nn.Module, layers: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        self.image_proj: nn.Module = image_proj
        self.ip_adapter = nn.ModuleDict({number: PictureAttention(*shape) for number, shape in layers.items()})

    def tokens(self, seen: Tensor) -> Tensor:
        """The tokens `(B, T, D)` of what an image tower saw."""
        out: Tensor = self.image_proj(seen)
        return out

    def layer(self, number: int) -> PictureAttention:
        """The keys and values of one cross-attention."""
        found = self.ip_adapter[str(number)]
        assert isinstance(found, PictureAttention)
        return found


class StyleBlock(nn.Module):
    """A block of CLIP's transformer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, STYLE_HEADS, batch_first=True)
        self.ln_1 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)
        self.ln_2 = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """`x` `(B, N, C)` after the block."""
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class StyleAdapter(nn.Module):
    """Learnt tokens that look at all states of a tower, and become tokens for a text's end."""

    def __init__(self, channels: int, width: int, tokens: int, layers: int) -> None:
        super().__init__()
        self.style_embedding = nn.Parameter(torch.zeros(1, tokens, channels))
        self.ln_pre = nn.LayerNorm(channels)
        self.transformer_layes = nn.ModuleList(StyleBlock(channels) for _ in range(layers))  # so spelled in the files
        self.ln_post = nn.LayerNorm(channels)
        self.proj = nn.Parameter(torch.zeros(channels, width))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(B, T, D)` of states `(B, N, C)`."""
        tokens = self.style_embedding.shape[1]
        x = self.ln_pre(torch.cat([x, self.style_embedding.expand(len(x), -1, -1)], dim=1))
        for layer in self.transformer_layes:
            x = layer(x)
        out: Tensor = self.ln_post(x[:, -tokens:]) @ self.proj
        return out
