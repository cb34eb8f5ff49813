"""The UNet of Stable Video Diffusion: that of SD2 with layers over time behind every block.

Source: Blattmann et al. 2023 (Stable Video Diffusion), with the key names of the original files.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from engine.models.nets.attention import SpatialTransformer
from engine.models.nets.over_time import TimeBlock, TimeMixer, TimeResBlock
from engine.models.nets.patches import Call, Patch, Site, started
from engine.models.nets.unet import ResBlock, UNet, timestep_embedding
from engine.tensors.rows import Rows


class VideoResBlock(ResBlock):
    """A residual block over each frame, then one over time."""

    def __init__(self, channels: int, out_channels: int, embedding_channels: int) -> None:
        super().__init__(channels, out_channels, embedding_channels)
        self.time_stack = TimeResBlock(out_channels, embedding_channels)
        self.time_mixer = TimeMixer()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """`x` `(V * F, C, h, w)`; `embedding` `(V, F, E)`, by which it is known how many frames a video has."""
        rows = embedding.flatten(0, 1)
        x = super().forward(x, rows)
        out: Tensor = self.time_mixer(x, self.time_stack(x, embedding.shape[1], rows))
        return out


class VideoTransformer(SpatialTransformer):
    """Transformer blocks over the positions of each frame, each followed by one over time.

    Over time every frame is told its place in the video, and sees the tokens of the first.
    """

    def __init__(self, channels: int, context_channels: int, heads: int, depth: int) -> None:
        super().__init__(channels, context_channels, heads, depth, linear_projection=True)
        self.time_stack = nn.ModuleList(TimeBlock(channels, context_channels, heads) for _ in range(depth))
        self.time_pos_embed = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, channels)
        )
        self.time_mixer = TimeMixer()

    def _layer(self, layer: int, h: Tensor, context: Tensor, site: Site | None) -> Tensor:
        """Tokens `(V * F, N, C)`; `context` is `(V, F, T, D)`."""
        videos, frames = context.shape[:2]
        h = super()._layer(layer, h, context.flatten(0, 1), site)
        waves = timestep_embedding(torch.arange(frames, device=h.device), h.shape[-1]).to(h.dtype)
        places = self.time_pos_embed(waves)[:, None].repeat(videos, 1, 1)
        out: Tensor = self.time_mixer(h, self.time_stack[layer](h + places, context[:, 0], frames))
        return out


class VideoUNet(UNet):
    """Predicts v from noisy latents of whole videos: a row of its batch is a video."""

    takes_videos: ClassVar[bool] = True

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
        """The prediction `(V, F, C_out, h, w)` for videos `x` `(V, F, C, h, w)`.

        As in a UNet, but all is given frame by frame: `timesteps` `(V, F)`, `context` `(V, F, T, D)`, `y` `(V, F, W)`.
        `rows` has an entry for every frame of every video.
        """
        videos = x.shape[:2]
        x, timesteps, tokens = (tensor.flatten(0, 1) for tensor in (x, timesteps, context))
        y = None if y is None else y.flatten(0, 1)
        call = Call.of(self, x, timesteps, tokens, y, sigma, rows)
        start = started(patches, call, self.config.model_channels)
        embedding = self._embedding(x, timesteps, y, guidance)
        answer = self._through(x, embedding.reshape(*videos, -1), context, start)
        return answer.reshape(*videos, *answer.shape[1:])

    def _residual(self, channels: int, out_channels: int) -> ResBlock:
        return VideoResBlock(channels, out_channels, 4 * self.config.model_channels)

    def _transformer(self, channels: int, depth: int, cross_only: bool) -> SpatialTransformer:
        del cross_only  # there is no such video net
        return VideoTransformer(channels, self.config.context_channels, self.config.heads(channels), depth)
