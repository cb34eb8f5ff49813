"""The UNet of the Stable Diffusion family (SD1, SD2, SDXL), with the key names of the original files.

Source: Ho et al. 2020, Dhariwal and Nichol 2021 (residual blocks), Rombach et al. 2022 (cross-attention). One class
serves every width and depth: what differs is in `UNetConfig`, which is inferred from the shapes in a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.nets.attention import SpatialTransformer
from engine.models.nets.denoising import DenoisingNet
from engine.models.nets.patches import Call, Part, Patch, Site, joined, passed, skipped, started
from engine.tensors.rows import Rows

# What is alive at once on a level, in feature maps of its channels, with flash attention: a GEGLU feed-forward holds
# its projection (8), its gate and its product (4 each) and what it is to be added to; attention holds less besides the
# keys and values of the tokens, and so does a residual block. By counting live tensors, as the test does again.
FEED_FORWARD_MAPS = 21
ATTENTION_MAPS = 9
RESIDUAL_MAPS = 7
VIDEO_MAPS = 3  # beside a feed-forward over time: what single frames gave, and their tokens in another order


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Shape of a UNet.

    `channel_mult` and `transformer_depth` have one entry a level, finest first; a depth of 0 means no attention there.
    Exactly one of `num_heads` (SD1: the same everywhere) and `head_channels` (SD2, SDXL: width of a head) is set.
    `vector_channels` is the width of the extra conditioning vector `y` (SDXL's sizes, unCLIP's image), None for none;
    with `classes` `y` is a number of a table instead (the x4 upscaler's noise levels). `guidance_channels` is the width
    of the embedding of the guidance scale (latent consistency models). Levels that are `cross_only` have no
    self-attention: both attentions look at the tokens; an empty tuple means that there are none. With `video` every
    block also has layers over the frames of a video (`video_unet`).
    """

    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    transformer_depth: tuple[int, ...] = (1, 1, 1, 0)
    middle_depth: int = 1
    context_channels: int = 768
    num_heads: int | None = 8
    head_channels: int | None = None
    linear_projection: bool = False
    vector_channels: int | None = None
    classes: int | None = None
    guidance_channels: int | None = None
    cross_only: tuple[bool, ...] = ()
    video: bool = False

    def heads(self, channels: int) -> int:
        """Number of attention heads on a level of `channels` channels."""
        if self.head_channels is not None:
            return channels // self.head_channels
        assert self.num_heads is not None
        return self.num_heads

    def activations(self, height: int, width: int, tokens: int) -> int:
        """See `NetConfig`. Right within a tenth for nets with attention, and above for those without."""
        kept, working = self.model_channels * height * width, 0
        for level, (mult, depth) in enumerate(zip(self.channel_mult, self.transformer_depth, strict=True)):
            channels, cells = mult * self.model_channels, height * width
            kept += self.num_res_blocks * channels * cells
            working = max(working, RESIDUAL_MAPS * channels * cells)
            if depth or (level == len(self.channel_mult) - 1 and self.middle_depth):
                maps = FEED_FORWARD_MAPS + (VIDEO_MAPS if self.video else 0)
                working = max(working, maps * channels * cells)
                working = max(working, (ATTENTION_MAPS * cells + 2 * tokens) * channels)
            height, width = -(-height // 2), -(-width // 2)
            if level < len(self.channel_mult) - 1:
                kept += channels * height * width
        return kept + working


def timestep_embedding(timesteps: Tensor, channels: int, max_period: float = 10_000.0) -> Tensor:
    """Sinusoids `(B, channels)` of `timesteps` `(B,)`: cosines first, then sines; frequencies fall geometrically."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    angles = timesteps.float()[:, None] * torch.exp(-math.log(max_period) * exponents)[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def guidance_embedding(scales: Tensor, channels: int) -> Tensor:
    """Sinusoids `(B, channels)` of guidance scales `(B,)`: sines first, and frequencies to the very end of the range.

    Source: Luo et al. 2023 (latent consistency models), section 4.2, with the published scaling by 1000 of w - 1.
    """
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=scales.device) / (half - 1)
    angles = (scales.float()[:, None] - 1) * 1000 * torch.exp(-math.log(10_000.0) * exponents)[None]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class ResBlock(nn.Module):
    """Two convolutions with the time embedding added between them, plus a skip."""

    def __init__(self, channels: int, out_channels: int, embedding_channels: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_channels, out_channels))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, out_channels),
            nn.SiLU(),
            nn.Identity(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.skip_connection = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
        out: Tensor = self.skip_connection(x) + self.out_layers(h)
        return out


class Downsample(nn.Module):
    """Halves height and width by a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.op(x)
        return out


class Upsample(nn.Module):
    """Doubles height and width (to `size` where the way down rounded up) and convolves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, size=size, mode="nearest"))
        return out


class Block(nn.Sequential):
    """A few layers in a row, each fed what it takes besides the feature map."""

    def forward(  # type: ignore[override]  # nn.Sequential takes one input
        self,
        x: Tensor,
        embedding: Tensor,
        context: Tensor,
        size: tuple[int, int] | None = None,
        site: Site | None = None,
    ) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, embedding)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, context, site)
            elif isinstance(layer, Upsample):
                x = layer(x, size or (2 * x.shape[-2], 2 * x.shape[-1]))
            else:
                x = layer(x)
        return x


class UNet(DenoisingNet):
    """Predicts epsilon or v from a noisy latent."""

    config: UNetConfig

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        width, embedding = config.model_channels, 4 * config.model_channels
        self.time_embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        if config.guidance_channels is not None:
            self.time_cond_proj = nn.Linear(config.guidance_channels, width, bias=False)
        if config.classes is not None:
            self.label_emb: nn.Module = nn.Embedding(config.classes, embedding)
        elif config.vector_channels is not None:
            self.label_emb = nn.Sequential(
                nn.Sequential(nn.Linear(config.vector_channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
            )
        self.input_blocks = nn.ModuleList([Block(nn.Conv2d(config.in_channels, width, 3, padding=1))])
        channels, skips = width, [width]
        for level, mult in enumerate(config.channel_mult):
            for _ in range(config.num_res_blocks):
                self.input_blocks.append(self._level(channels, mult * width, level))
                channels = mult * width
                skips.append(channels)
            if level < len(config.channel_mult) - 1:
                self.input_blocks.append(Block(Downsample(channels)))
                skips.append(channels)
        middle: list[nn.Module] = [self._residual(channels, channels)]
        if config.middle_depth:
            middle.append(self._transformer(channels, config.middle_depth, cross_only=False))
        self.middle_block = Block(*middle, self._residual(channels, channels))
        self.output_blocks = nn.ModuleList()
        for level, mult in reversed(list(enumerate(config.channel_mult))):
            for index in range(config.num_res_blocks + 1):
                block = self._level(channels + skips.pop(), mult * width, level)
                channels = mult * width
                if level and index == config.num_res_blocks:
                    block.append(Upsample(channels))
                self.output_blocks.append(block)
        self.out = nn.Sequential(
            nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, config.out_channels, 3, padding=1)
        )

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        *,
        guidance: Tensor | None = None,
        patches: tuple[Patch, ...] = (),
        sigma: float = 0.0,
        rows: Rows | None = None,
    ) -> Tensor:
        """The prediction `(B, C_out, h, w)` for `x` `(B, C, h, w)`.

        `timesteps` `(B,)` in 0..999 (fractions allowed), `context` `(B, T, D)`; where the net takes them `y` `(B, V)`,
        or integers `(B,)` of its table, and the guidance scale `guidance` `(B,)`. `patches` take part in this call
        only; `sigma` is what they are told of the noise, and `rows` of each row of `x` (None: samples on the whole
        canvas).
        """
        call = Call.of(self, x, timesteps, context, y, sigma, rows)
        start = started(patches, call, self.config.model_channels)
        return self._through(x, self._embedding(x, timesteps, y, guidance), context, start)

    def _embedding(self, x: Tensor, timesteps: Tensor, y: Tensor | None, guidance: Tensor | None) -> Tensor:
        """What residual blocks are told of a row's timestep, vector and guidance scale, `(B, E)`."""
        time = timestep_embedding(timesteps, self.config.model_channels).to(x.dtype)
        if self.config.guidance_channels is not None and guidance is not None:
            time = time + self.time_cond_proj(guidance_embedding(guidance, self.config.guidance_channels).to(x.dtype))
        embedding: Tensor = self.time_embed(time)
        if self.config.vector_channels is not None or self.config.classes is not None:
            embedding = embedding + self.label_emb(y)
        return embedding

    def _through(self, x: Tensor, embedding: Tensor, context: Tensor, start: Site | None) -> Tensor:
        """`x` through all blocks."""
        skips: list[Tensor] = []
        for number, block in enumerate(self.input_blocks):
            site = at(start, "input", number)
            x = skipped(site, block(x, embedding, context, site=site))
            skips.append(x)
            x = passed(site, x)
        x = self.middle_block(x, embedding, context, site=at(start, "middle", 0))
        for number, block in enumerate(self.output_blocks):
            site = at(start, "output", number)
            x = torch.cat(joined(site, x, skips.pop()), dim=1)
            size = (skips[-1].shape[-2], skips[-1].shape[-1]) if skips else None
            x = block(x, embedding, context, size, site)
        out: Tensor = self.out(x)
        return out

    def _level(self, channels: int, out_channels: int, level: int) -> Block:
        layers: list[nn.Module] = [self._residual(channels, out_channels)]
        if self.config.transformer_depth[level]:
            cross_only = bool(self.config.cross_only) and self.config.cross_only[level]
            layers.append(self._transformer(out_channels, self.config.transformer_depth[level], cross_only))
        return Block(*layers)

    def _residual(self, channels: int, out_channels: int) -> ResBlock:
        return ResBlock(channels, out_channels, 4 * self.config.model_channels)

    def _transformer(self, channels: int, depth: int, cross_only: bool) -> SpatialTransformer:
        config = self.config
        return SpatialTransformer(
            channels, config.context_channels, config.heads(channels), depth, config.linear_projection, cross_only
        )


def at(site: Site | None, part: Part, block: int) -> Site | None:
    """The site of a block; None where there are no patches."""
    return None if site is None else replace(site, part=part, block=block)
