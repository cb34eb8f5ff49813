"""The UNet of Imagen-style cascades on pixels, with the key names of DeepFloyd IF's files.

Sources: Saharia et al. 2022 (Imagen, its efficient UNet, and noise conditioning), Dhariwal and Nichol 2021 (residual
blocks that shift and scale, and that resample), Radford et al. 2021 (attention pooling). One class serves every stage
and every width: what differs is in `PixelUNetConfig`, which is inferred from the shapes in a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.nets.denoising import DenoisingNet
from engine.models.nets.patches import Call, Patch, joined, passed, skipped, started
from engine.models.nets.unet import at, timestep_embedding
from engine.tensors.rows import Rows

GROUPS = 32
HEAD_CHANNELS = 64  # of attention over words, and of the pooling of words
SHARED_RESIDUAL = 0.7071  # what the sum of a block and its input is multiplied by in efficient nets, as published

# What is alive at once on a level besides what is kept for the way up, by counting live tensors, as the test does: on
# the way up a map of this level's channels and those of the coarser one, its norm and its activation; in attention so
# many maps of the level's channels.
JOINED_MAPS = 3
ATTENTION_MAPS = 10


@dataclass(frozen=True, slots=True)
class PixelUNetConfig:
    """Shape of a pixel UNet.

    `widths`, `blocks` and `attention` have one entry a level, finest first: channels, residual blocks, and whether
    there is attention. Words are `encoder_channels` wide and are projected to `word_channels` (None: they are not).
    Super-resolution nets are told of the noise in their small picture (`levels`); those are `efficient`: attention
    looks at words only (`cross_only`), the sum of block and input is scaled, the embedding is activated once.
    """

    in_channels: int = 3
    out_channels: int = 6
    widths: tuple[int, ...] = (192, 384, 576, 768)
    blocks: tuple[int, ...] = (3, 3, 3, 3)
    attention: tuple[bool, ...] = (False, True, True, True)
    embedding_channels: int = 768
    encoder_channels: int = 4096
    word_channels: int | None = 768
    head_channels: int = HEAD_CHANNELS
    cross_only: bool = False
    levels: bool = False

    @property
    def context_channels(self) -> int:
        """See `NetConfig`."""
        return self.encoder_channels

    @property
    def attended_channels(self) -> int:
        """Width of words as attention sees them."""
        return self.encoder_channels if self.word_channels is None else self.word_channels

    @property
    def residual_scale(self) -> float:
        """What the sum of a block and its input is multiplied by."""
        return SHARED_RESIDUAL if self.levels else 1.0

    def activations(self, height: int, width: int, tokens: int) -> int:
        """See `NetConfig`."""
        kept, most = self.widths[0] * height * width, 0
        coarser = (*self.widths[1:], self.widths[-1])
        for channels, above, blocks, attends in zip(self.widths, coarser, self.blocks, self.attention, strict=True):
            cells = height * width
            kept += blocks * channels * cells
            most = max(most, kept + (JOINED_MAPS * (channels + above) + channels) * cells)
            if attends:
                most = max(most, kept + (ATTENTION_MAPS * cells + 4 * tokens) * channels)
            height, width = -(-height // 2), -(-width // 2)
            kept += channels * height * width
        return most + tokens * (self.attended_channels + 3 * self.encoder_channels)


Resampling = Literal["down", "up"] | None


class ResBlock(nn.Module):
    """Two convolutions, the second after a norm that the embedding scales and shifts, plus a skip.

    A `resampling` block halves or doubles height and width on both ways.
    """

    def __init__(
        self, channels: int, out_channels: int, config: PixelUNetConfig, resampling: Resampling = None
    ) -> None:
        super().__init__()
        self.resampling = resampling
        self.scale = config.residual_scale
        activation = nn.Identity() if config.levels else nn.GELU()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.GELU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(activation, nn.Linear(config.embedding_channels, 2 * out_channels))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, out_channels),
            nn.GELU(),
            nn.Identity(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.skip_connection = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """`x` `(B, C, h, w)`; blocks that go up end at `size`."""
        norm, activation, convolution = self.in_layers
        h = self._resampled(activation(norm(x)), size)
        x = self._resampled(x, size)
        scale, shift = self.emb_layers(embedding)[:, :, None, None].chunk(2, dim=1)
        norm, *rest = self.out_layers
        h = norm(convolution(h)) * (1 + scale) + shift
        for layer in rest:
            h = layer(h)
        out: Tensor = self.skip_connection(x) + h
        return out if self.scale == 1 else out * self.scale

    def _resampled(self, x: Tensor, size: tuple[int, int] | None) -> Tensor:
        if self.resampling == "down":
            return F.avg_pool2d(x, 2, ceil_mode=True)
        if self.resampling == "up":
            return F.interpolate(x, size=size or (2 * x.shape[-2], 2 * x.shape[-1]), mode="nearest")
        return x


class WordAttention(nn.Module):
    """Attention of the cells of a feature map over words and, unless `cross_only`, over the cells as well.

    In `qkv` and `encoder_kv` the parts of each head lie together.
    """

    def __init__(self, channels: int, config: PixelUNetConfig) -> None:
        super().__init__()
        self.heads = channels // config.head_channels
        self.cross_only = config.cross_only
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.norm_encoder = nn.GroupNorm(GROUPS, config.attended_channels)
        self.qkv = nn.Conv1d(channels, channels if config.cross_only else 3 * channels, 1)
        self.encoder_kv = nn.Conv1d(config.attended_channels, 2 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        """`x` `(B, C, h, w)`, `words` `(B, D, T)`."""
        k, v = self._split(self.encoder_kv(self.norm_encoder(words)), 2)
        q, *own = self._split(self.qkv(self.norm(x).flatten(2)), 1 if self.cross_only else 3)
        if own:
            k, v = torch.cat([k, own[0]], dim=2), torch.cat([v, own[1]], dim=2)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj_out(mixed.transpose(2, 3).flatten(1, 2))
        return x + out.view_as(x)

    def _split(self, t: Tensor, parts: int) -> list[Tensor]:
        """`parts` tensors `(B, heads, N, C / heads)`."""
        batch, channels, count = t.shape
        split = t.reshape(batch, self.heads, parts, channels // parts // self.heads, count)
        return list(split.transpose(3, 4).unbind(dim=2))


class AttentionPooling(nn.Module):
    """One vector of all words: attention of their mean over the words and itself (Radford et al. 2021, section 2.4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD_CHANNELS)
        self.positional_embedding = nn.Parameter(torch.zeros(1, channels))
        self.k_proj, self.q_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))

    def forward(self, words: Tensor) -> Tensor:
        """`(B, T, D)` to `(B, D)`."""
        mean = words.mean(dim=1, keepdim=True) + self.positional_embedding
        words = torch.cat([mean, words], dim=1)
        q, k, v = (self._split(t) for t in (self.q_proj(mean), self.k_proj(words), self.v_proj(words)))
        return F.scaled_dot_product_attention(q, k, v).flatten(1)

    def _split(self, t: Tensor) -> Tensor:
        return t.reshape(*t.shape[:2], self.heads, -1).transpose(1, 2)


class Block(nn.Sequential):
    """A few layers in a row, each fed what it takes besides the feature map."""

    def forward(  # type: ignore[override]  # nn.Sequential takes one input
        self, x: Tensor, embedding: Tensor, words: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, embedding, size)
            elif isinstance(layer, WordAttention):
                x = layer(x, words)
            else:
                x = layer(x)
        return x


class PixelUNet(DenoisingNet):
    """Predicts the noise of a picture, and a variance, from the noisy picture and from words.

    Super-resolution nets see the small picture behind the noisy one, and are told of the noise in it.
    """

    config: PixelUNetConfig
    counts_tokens: ClassVar[bool] = True  # words are pooled, and stand beside cells in attention

    def __init__(self, config: PixelUNetConfig) -> None:
        super().__init__()
        self.config = config
        finest, embedding = config.widths[0], config.embedding_channels
        self.time_embed = _mlp(finest, embedding)
        if config.levels:
            self.aug_proj = _mlp(finest, embedding)
        if config.word_channels is not None:
            self.encoder_proj = nn.Linear(config.encoder_channels, config.word_channels)
        self.encoder_pooling = nn.Sequential(
            nn.LayerNorm(config.encoder_channels),
            AttentionPooling(config.encoder_channels),
            nn.Linear(config.encoder_channels, embedding),
            nn.LayerNorm(embedding),
        )
        self.input_blocks = nn.ModuleList([Block(nn.Conv2d(config.in_channels, finest, 3, padding=1))])
        channels, skips = finest, [finest]
        for level, width in enumerate(config.widths):
            for _ in range(config.blocks[level]):
                self.input_blocks.append(self._block(channels, width, level))
                channels = width
                skips.append(channels)
            if level < len(config.widths) - 1:
                self.input_blocks.append(Block(ResBlock(channels, channels, config, "down")))
                skips.append(channels)
        self.middle_block = Block(
            ResBlock(channels, channels, config), WordAttention(channels, config), ResBlock(channels, channels, config)
        )
        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(config.widths))):
            for index in range(config.blocks[level] + 1):
                block = self._block(channels + skips.pop(), width, level)
                channels = width
                if level and index == config.blocks[level]:
                    block.append(ResBlock(channels, channels, config, "up"))
                self.output_blocks.append(block)
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.GELU(), nn.Conv2d(channels, config.out_channels, 3, padding=1)
        )

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
        """The prediction and the variance `(B, C_out, h, w)` for `x` `(B, C, h, w)` of any size.

        `timesteps` `(B,)` in 0..999, `context` `(B, T, D)` the words, `y` `(B,)` the timestep whose noise is in the
        small picture, where there is one. Of `patches` only hooks on feature maps are asked.
        """
        start = started(patches, Call.of(self, x, timesteps, context, y, sigma, rows), self.config.widths[0])
        embedding = self._embedding(timesteps, context, y, x.dtype)
        words = context if self.config.word_channels is None else self.encoder_proj(context)
        words = words.transpose(1, 2)
        skips: list[Tensor] = []
        for number, block in enumerate(self.input_blocks):
            site = at(start, "input", number)
            x = skipped(site, block(x, embedding, words))
            skips.append(x)
            x = passed(site, x)
        x = self.middle_block(x, embedding, words)
        for number, block in enumerate(self.output_blocks):
            x = torch.cat(joined(at(start, "output", number), x, skips.pop()), dim=1)
            x = block(x, embedding, words, (skips[-1].shape[-2], skips[-1].shape[-1]) if skips else None)
        out: Tensor = self.out(x)
        return out

    def _embedding(self, timesteps: Tensor, context: Tensor, y: Tensor | None, dtype: torch.dtype) -> Tensor:
        """What every block is told `(B, E)`: the time, the words as one, and the noise of a small picture."""
        finest = self.config.widths[0]
        embedding: Tensor = self.time_embed(timestep_embedding(timesteps, finest).to(dtype)) + self.encoder_pooling(
            context
        )
        if not self.config.levels:
            return embedding
        if y is None:
            raise ValueError("a super-resolution net is told of the noise in its small picture")
        return F.gelu(embedding + self.aug_proj(timestep_embedding(y, finest).to(dtype)))

    def _block(self, channels: int, width: int, level: int) -> Block:
        layers: list[nn.Module] = [ResBlock(channels, width, self.config)]
        if self.config.attention[level]:
            layers.append(WordAttention(width, self.config))
        return Block(*layers)


def _mlp(channels: int, embedding: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, embedding), nn.GELU(), nn.Linear(embedding, embedding))
