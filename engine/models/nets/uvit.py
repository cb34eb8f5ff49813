"""U-ViT, a transformer with long skips for which everything is a token, with the key names of the original files.

Source: Bao et al. 2022 (All are worth words), section 3: time, class and words are tokens beside those of the picture,
and each block of the second half also takes what came out of its counterpart in the first half. One class serves every
size: what differs is in `UViTConfig`, which is inferred from the shapes in a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.nets.denoising import DenoisingNet
from engine.models.nets.patches import Call, Part, Patch, Site, through
from engine.models.nets.transformer import (
    Mlp,
    PatchEmbedding,
    SelfAttention,
    in_squares,
    picture_of,
    started_in_tokens,
    token_activations,
    token_count,
)
from engine.models.nets.unet import timestep_embedding
from engine.tensors.rows import Rows

FIRST_TIME = 1  # timesteps are counted from 1, as in the published training


@dataclass(frozen=True, slots=True)
class UViTConfig:
    """Shape of a U-ViT; the defaults are those of U-ViT-H/2 for ImageNet.

    `depth` is that of each half; one more block stands in the middle. `classes` counts the rows of the table of
    classes, the last of which stands for none, and `context_channels` is the width of words; a net has one of them or
    neither (0). `words` is how many words the net takes, exactly. `positions` is how many tokens pictures had in
    training. `time_layers`, `skips`, `biases` (of attention) and `smooth` (a convolution at the end) are parts that
    nets may lack.
    """

    channels: int = 4
    width: int = 1152
    depth: int = 14
    heads: int = 16
    patch: int = 2
    classes: int = 1001
    context_channels: int = 0
    words: int = 0
    positions: int = 256
    hidden: int = 4608
    time_layers: bool = False
    skips: bool = True
    biases: bool = False
    smooth: bool = True

    @property
    def extras(self) -> int:
        """Tokens before those of the picture: the time, and a class or words."""
        return 1 + (1 if self.classes else 0) + self.words

    @property
    def in_channels(self) -> int:
        """Channels of the latent."""
        return self.channels

    @property
    def out_channels(self) -> int:
        """Channels of the prediction."""
        return self.channels

    def activations(self, height: int, width: int, tokens: int) -> int:  # noqa: ARG002 - it takes as many as always
        """See `NetConfig`: what comes out of each block of the first half is kept."""
        count = self.extras + token_count(height, width, self.patch)
        kept = count * self.depth * self.width if self.skips else 0
        return token_activations(count, self.width, self.hidden) + kept


class UViTBlock(nn.Module):
    """Attention and feed-forward, each after a norm and added to its input; a long skip is joined in before."""

    def __init__(self, config: UViTConfig, *, skip: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attn = SelfAttention(config.width, config.heads, config.biases)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = Mlp(config.width, config.hidden, exact=True)
        if skip:
            self.skip_linear = nn.Linear(2 * config.width, config.width)

    def forward(self, x: Tensor, skip: Tensor | None = None, site: Site | None = None) -> Tensor:
        """Tokens `(B, N, C)`, with those of the counterpart in `skip`."""
        if skip is not None:
            x = self.skip_linear(torch.cat([x, skip], dim=-1))
        x = x + self.attn(self.norm1(x), site)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class UViT(DenoisingNet):
    """Predicts epsilon from a noisy latent, and the number of a class or words."""

    config: UViTConfig
    counts_tokens = True

    def __init__(self, config: UViTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embed = PatchEmbedding(config.channels, width, config.patch)
        self.time_embed: nn.Module = nn.Identity()
        if config.time_layers:
            self.time_embed = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        if config.classes:
            self.label_emb = nn.Embedding(config.classes, width)
        if config.context_channels:
            self.context_embed = nn.Linear(config.context_channels, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.extras + config.positions, width))
        self.in_blocks = nn.ModuleList(UViTBlock(config) for _ in range(config.depth))
        self.mid_block = UViTBlock(config)
        self.out_blocks = nn.ModuleList(UViTBlock(config, skip=config.skips) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.decoder_pred = nn.Linear(width, config.patch**2 * config.channels)
        self.final_layer = nn.Conv2d(config.channels, config.channels, 3, padding=1) if config.smooth else nn.Identity()

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
        """The prediction `(B, C, h, w)` for `x` `(B, C, h, w)` of any size.

        `timesteps` `(B,)` in 0..999 (fractions allowed), `y` `(B,)` numbers of classes, or `context` `(B, M, D)` as
        many words as in training, by the net. `patches` take part in this call only, see `UNet`.
        """
        start = started_in_tokens(patches, Call.of(self, x, timesteps, context, y, sigma, rows), self.config.width)
        height, width = x.shape[-2:]
        squares, cells = in_squares(x, self.config.patch)
        before = self._before(timesteps, context, y, x.dtype)
        tokens = torch.cat([*before, self.patch_embed(squares)], dim=1) + self._places(cells)
        skips: list[Tensor] = []
        for number, block in enumerate(self.in_blocks):
            tokens = _through(start, "input", number, block, tokens)
            skips.append(tokens)
        tokens = _through(start, "middle", len(skips), self.mid_block, tokens)
        for number, block in enumerate(self.out_blocks, start=len(skips) + 1):
            skip = skips.pop() if self.config.skips else None
            tokens = _through(start, "output", number, block, tokens, skip)
        pixels = self.decoder_pred(self.norm(tokens))[:, self.config.extras :]
        out: Tensor = self.final_layer(picture_of(pixels, cells, self.config.patch))
        return out[..., :height, :width]

    def _before(self, timesteps: Tensor, context: Tensor, y: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
        """The tokens before those of the picture, `(B, ., C)` each."""
        waves = timestep_embedding(timesteps + FIRST_TIME, self.config.width).to(dtype)
        time = self.time_embed(waves)[:, None]
        if self.config.classes:
            return [self.label_emb(y)[:, None], time]
        return [time, self.context_embed(context)] if self.config.context_channels else [time]

    def _places(self, cells: tuple[int, int]) -> Tensor:
        """The learned table `(1, N, C)`, the part for the picture brought to another size where it has one."""
        side = math.isqrt(self.config.positions)
        if cells == (side, side):
            return self.pos_embed
        before, table = self.pos_embed[:, : self.config.extras], self.pos_embed[:, self.config.extras :]
        table = table.transpose(1, 2).reshape(1, -1, side, side).float()
        resized = F.interpolate(table, size=cells, mode="bicubic", align_corners=False)
        return torch.cat([before, resized.flatten(2).transpose(1, 2).to(before)], dim=1)


def _through(
    start: Site | None, part: Part, number: int, block: nn.Module, tokens: Tensor, skip: Tensor | None = None
) -> Tensor:
    site = start and replace(start, part=part, block=number, layer=number)
    return through(site, tokens, lambda x: block(x, skip, site))
