"""The decoder of Stable Video Diffusion's autoencoder, which keeps frames from flickering.

Source: Blattmann et al. 2023 (Video LDM), section 3.1.1, with the key names of the original files. The encoder knows
single pictures only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.models.nets.autoencoder import AutoencoderConfig, Decoder, ResnetBlock
from engine.models.nets.over_time import TimeResBlock, mixed, time_convolution


class VideoResnetBlock(ResnetBlock):
    """A residual block over each frame, then one over time. The batch is one video."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels)
        self.time_stack = TimeResBlock(out_channels)
        self.mix_factor = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return mixed(self.mix_factor, self.time_stack(x, len(x)), x)


class FrameConvolution(nn.Conv2d):
    """A convolution of each frame `(F, C, h, w)`, then one over time."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, 3, padding=1)
        self.time_mix_conv = time_convolution(out_channels)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Conv2d
        video = super().forward(input)[None].transpose(1, 2)
        out: Tensor = self.time_mix_conv(video).transpose(1, 2)[0]
        return out


class VideoDecoder(Decoder):
    """Latents `(F, latent_channels, h, w)` of the frames of one video to frames `(F, 3, h * f, w * f)`."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__(config, VideoResnetBlock)
        self.conv_out = FrameConvolution(self.conv_out.in_channels, config.out_channels)
