"""DiT, the class-conditional diffusion transformer, with the key names of the original files.

Source: Peebles and Xie 2022 (Scalable diffusion models with transformers), section 3.2: adaLN-Zero blocks. Written from
the paper. One class serves every size: what differs is in `DiTConfig`, which is inferred from the shapes in a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.models.nets.denoising import DenoisingNet
from engine.models.nets.patches import Call, Patch, Site
from engine.models.nets.transformer import (
    Mlp,
    NumberEmbedding,
    PatchEmbedding,
    SelfAttention,
    in_squares,
    modulated,
    picture_of,
    positions,
    started_in_tokens,
    through_blocks,
    token_activations,
    token_count,
)
from engine.tensors.rows import Rows


@dataclass(frozen=True, slots=True)
class DiTConfig:
    """Shape of a DiT; the defaults are those of DiT-XL/2.

    `classes` counts the rows of the table of classes, the last of which stands for none. `out_channels` is twice
    `in_channels` where the net predicts a variance, too. `positions` is how many tokens pictures had in training.
    """

    in_channels: int = 4
    out_channels: int = 8
    width: int = 1152
    depth: int = 28
    heads: int = 16
    patch: int = 2
    classes: int = 1001
    positions: int = 256
    hidden: int = 4608
    waves: int = 256

    @property
    def context_channels(self) -> int:
        """Width of words: none."""
        return 0

    def activations(self, height: int, width: int, tokens: int) -> int:  # noqa: ARG002 - it takes no words
        """See `NetConfig`."""
        return token_activations(token_count(height, width, self.patch), self.width, self.hidden)

    @property
    def side(self) -> int:
        """Tokens along a side of a picture of training, which was square."""
        return math.isqrt(self.positions)


class LabelEmbedding(nn.Module):
    """A table of classes."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes, width)

    def forward(self, labels: Tensor) -> Tensor:
        out: Tensor = self.embedding_table(labels)
        return out


class DiTBlock(nn.Module):
    """Attention and feed-forward, each between a modulated norm and a gate that the condition sets (adaLN-Zero)."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.attn = SelfAttention(config.width, config.heads)
        self.mlp = Mlp(config.width, config.hidden)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 6 * config.width))

    def forward(self, x: Tensor, condition: Tensor, site: Site | None = None) -> Tensor:
        """Tokens `(B, N, C)` under a condition `(B, 1, C)`."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.adaLN_modulation(condition).chunk(6, dim=-1)
        x = x + gate * self.attn(modulated(x, shift, scale), site)
        out: Tensor = x + mlp_gate * self.mlp(modulated(x, mlp_shift, mlp_scale))
        return out


class FinalLayer(nn.Module):
    """A modulated norm, and from each token the square of cells that it stands for."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.width, config.patch**2 * config.out_channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 2 * config.width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=-1)
        out: Tensor = self.linear(modulated(x, shift, scale))
        return out


class DiT(DenoisingNet):
    """Predicts epsilon, and a variance where it has channels for one, from a noisy latent and the number of a class."""

    config: DiTConfig

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        self.x_embedder = PatchEmbedding(config.in_channels, config.width, config.patch)
        self.t_embedder = NumberEmbedding(config.waves, config.width)
        self.y_embedder = LabelEmbedding(config.classes, config.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.positions, config.width))
        self.blocks = nn.ModuleList(DiTBlock(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config)

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor,
        *,
        patches: tuple[Patch, ...] = (),
        sigma: float = 0.0,
        rows: Rows | None = None,
    ) -> Tensor:
        """The prediction `(B, C_out, h, w)` for `x` `(B, C, h, w)` of any size.

        `timesteps` `(B,)` in 0..999 (fractions allowed), `y` `(B,)` numbers of classes; `context` is left alone: the
        net knows no words. `patches` take part in this call only, see `UNet`.
        """
        start = started_in_tokens(patches, Call.of(self, x, timesteps, context, y, sigma, rows), self.config.width)
        height, width = x.shape[-2:]
        squares, cells = in_squares(x, self.config.patch)
        condition = (self.t_embedder(timesteps, x.dtype) + self.y_embedder(y))[:, None]
        # What goes in has no name here, so that it is let go of once the first block has been through.
        tokens = through_blocks(
            start, self.blocks, self.x_embedder(squares) + self._places(cells, x), cells, condition=condition
        )
        out = picture_of(self.final_layer(tokens, condition), cells, self.config.patch)
        return out[..., :height, :width]

    def _places(self, cells: tuple[int, int], x: Tensor) -> Tensor:
        """The file's own table at the size of training, and the same sinusoids closer together or further at others."""
        side = self.config.side
        return self.pos_embed if cells == (side, side) else positions(self.config.width, cells, side, x)
