"""PixArt-alpha and PixArt-sigma, text-to-image transformers, with the key names of the original files.

Source: Chen et al. 2023 (PixArt-alpha), section 2.3: cross-attention and one modulation for all blocks (adaLN-single),
and the appendix for the sizes that the 1024 pixel model is told; Chen et al. 2024 (PixArt-sigma). Written from the
papers. One class serves every size: what differs is in `PixArtConfig`, which is inferred from a file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.nets.denoising import DenoisingNet
from engine.models.nets.patches import Call, Patch, Site, attention, sources
from engine.models.nets.transformer import (
    Mlp,
    NumberEmbedding,
    PatchEmbedding,
    SelfAttention,
    in_squares,
    joined_heads,
    modulated,
    picture_of,
    positions,
    split_heads,
    started_in_tokens,
    through_blocks,
    token_activations,
    token_count,
)
from engine.tensors.rows import Rows


@dataclass(frozen=True, slots=True)
class PixArtConfig:
    """Shape of a PixArt net; the defaults are those of PixArt-sigma.

    `out_channels` is twice `in_channels` where the net predicts a variance, too. Places of tokens run from 0 to `span`
    along each side. With `sizes` the net is told the size of the picture. `positions` and `null_tokens` are the lengths
    of two tables of the files that pictures do not depend on: places of tokens and the words of training's empty
    prompt; 0: the file has none.
    """

    in_channels: int = 4
    out_channels: int = 8
    width: int = 1152
    depth: int = 28
    heads: int = 16
    patch: int = 2
    context_channels: int = 4096
    span: float = 32.0
    sizes: bool = False
    positions: int = 0
    null_tokens: int = 0
    hidden: int = 4608
    waves: int = 256

    def activations(self, height: int, width: int, tokens: int) -> int:
        """See `NetConfig`: besides the picture's tokens there are the words, and their keys and values."""
        own = token_activations(token_count(height, width, self.patch), self.width, self.hidden)
        return own + 3 * tokens * self.width


class CaptionEmbedding(nn.Module):
    """The states of a text encoder in the width of the net."""

    def __init__(self, config: PixArtConfig) -> None:
        super().__init__()
        self.y_proj = Mlp(config.context_channels, config.width, config.width)
        if config.null_tokens:
            self.y_embedding = nn.Parameter(torch.zeros(config.null_tokens, config.context_channels))

    def forward(self, context: Tensor) -> Tensor:
        out: Tensor = self.y_proj(context)
        return out


class CrossAttention(nn.Module):
    """Attention of tokens `(B, N, width)` over a context `(B, M, width)`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_linear = nn.Linear(width, width)
        self.kv_linear = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, site: Site | None = None) -> Tensor:
        (q,) = split_heads(self.q_linear(x), 1, self.heads)
        if site is None:
            k, v = self._keys_and_values(context)
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            here = replace(site, kind="cross", tokens=x)
            keys, values = sources(here, context)
            k, v = self._keys_and_values(keys)
            if values is not keys:
                v = self._keys_and_values(values)[1]
            mixed = attention(here, q, k, v)
        return joined_heads(mixed, self.proj)

    def _keys_and_values(self, context: Tensor) -> tuple[Tensor, ...]:
        return split_heads(self.kv_linear(context), 2, self.heads)


class PixArtBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward; the block's own table shifts the modulation that all share."""

    def __init__(self, config: PixArtConfig) -> None:
        super().__init__()
        self.attn = SelfAttention(config.width, config.heads)
        self.cross_attn = CrossAttention(config.width, config.heads)
        self.mlp = Mlp(config.width, config.hidden)
        self.scale_shift_table = nn.Parameter(torch.zeros(6, config.width))

    def forward(self, x: Tensor, context: Tensor, modulation: Tensor, site: Site | None = None) -> Tensor:
        """Tokens `(B, N, C)` for a `context` `(B, M, C)` under a `modulation` `(B, 6, C)`."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (self.scale_shift_table + modulation).chunk(6, dim=1)
        x = x + gate * self.attn(modulated(x, shift, scale), site)
        x = x + self.cross_attn(x, context, site)
        out: Tensor = x + mlp_gate * self.mlp(modulated(x, mlp_shift, mlp_scale))
        return out


class FinalLayer(nn.Module):
    """A norm modulated by the time and a table, and from each token the square of cells that it stands for."""

    def __init__(self, config: PixArtConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.width, config.patch**2 * config.out_channels)
        self.scale_shift_table = nn.Parameter(torch.zeros(2, config.width))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = (self.scale_shift_table + time[:, None]).chunk(2, dim=1)
        out: Tensor = self.linear(modulated(x, shift, scale))
        return out


class PixArt(DenoisingNet):
    """Predicts epsilon, and a variance where it has channels for one, from a noisy latent and a text."""

    config: PixArtConfig

    def __init__(self, config: PixArtConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.x_embedder = PatchEmbedding(config.in_channels, width, config.patch)
        self.t_embedder = NumberEmbedding(config.waves, width)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.y_embedder = CaptionEmbedding(config)
        if config.sizes:
            self.csize_embedder = NumberEmbedding(config.waves, width // 3)
            self.ar_embedder = NumberEmbedding(config.waves, width // 3)
        if config.positions:
            self.pos_embed = nn.Parameter(torch.zeros(1, config.positions, width))
        self.blocks = nn.ModuleList(PixArtBlock(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config)

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        *,
        patches: tuple[Patch, ...] = (),
        sigma: float = 0.0,
        rows: Rows | None = None,
    ) -> Tensor:
        """The prediction `(B, C_out, h, w)` for `x` `(B, C, h, w)` of any size.

        `timesteps` `(B,)` in 0..999 (fractions allowed), `context` `(B, M, D)` the words alone: words that a mask would
        hide are left out, which is the same. `y` `(B, 3)` are height, width and their ratio where the net is told them.
        `patches` take part in this call only, see `UNet`.
        """
        start = started_in_tokens(patches, Call.of(self, x, timesteps, context, y, sigma, rows), self.config.width)
        height, width = x.shape[-2:]
        squares, cells = in_squares(x, self.config.patch)
        time = self.t_embedder(timesteps, x.dtype)
        if self.config.sizes and y is not None:
            time = time + self._size(y, x.dtype)
        modulation, words = self.t_block(time).reshape(len(x), 6, -1), self.y_embedder(context)
        tokens = through_blocks(
            start,
            self.blocks,
            # Without a name here, so that it is let go of once the first block has been through.
            self.x_embedder(squares) + positions(self.config.width, cells, self.config.span, x),
            cells,
            context=words,
            modulation=modulation,
        )
        out = picture_of(self.final_layer(tokens, time), cells, self.config.patch)
        return out[..., :height, :width]

    def _size(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        """The size of the picture `(B, C)`: a third for each of height, width and their ratio."""
        sides = self.csize_embedder(y[:, :2].flatten(), dtype).reshape(len(y), -1)
        return torch.cat([sides, self.ar_embedder(y[:, 2], dtype)], dim=1)
