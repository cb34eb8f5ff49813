"""The KL autoencoder of latent diffusion, with the key names of the original files.

Source: Rombach et al. 2022, section 3.1 and appendix G. Width, depth and so the down-scale factor come
from `AutoencoderConfig`, which is inferred from the shapes in a file: 8 for the published SD models, 4 for the x4
upscaler.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class AutoencoderConfig:
    """Shape of an autoencoder: `channel_mult` has one entry a level, finest first; each further one halves the size.

    `quant` and `post_quant` say which of the 1x1 convolutions between the halves there are. With `video` its decoder
    also has layers over the frames of a video (`video_autoencoder`).
    """

    in_channels: int = 3
    out_channels: int = 3
    channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    latent_channels: int = 4
    quant: bool = True
    post_quant: bool = True
    video: bool = False

    @property
    def downscale(self) -> int:
        """Pixels per latent cell, along one side."""
        return int(2 ** (len(self.channel_mult) - 1))


class ResnetBlock(nn.Module):
    """Two convolutions after norm and SiLU, added to the input."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = _norm(channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.norm2 = _norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if channels != out_channels:
            self.nin_shortcut = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        out: Tensor = (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h
        return out


class AttentionBlock(nn.Module):
    """Single-head self-attention over the positions of a feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (conv(h).flatten(2).transpose(1, 2)[:, None] for conv in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).reshape(x.shape)
        out: Tensor = x + self.proj_out(mixed)
        return out


class Downsample(nn.Module):
    """Halves the size; pads one row below and one column to the right, as the published weights expect."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Doubles the size and convolves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


class Middle(nn.Module):
    """Residual block, attention, residual block at the coarsest level."""

    def __init__(self, channels: int, block: type[ResnetBlock] = ResnetBlock) -> None:
        super().__init__()
        self.block_1 = block(channels, channels)
        self.attn_1 = AttentionBlock(channels)
        self.block_2 = block(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return out


class Level(nn.Module):
    """The blocks of one resolution, with the step to the next."""

    def __init__(self, channels: int, out_channels: int, blocks: int, block: type[ResnetBlock] = ResnetBlock) -> None:
        super().__init__()
        widths = [channels, *[out_channels] * blocks]
        self.block = nn.ModuleList(block(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        for name in ("downsample", "upsample"):
            if hasattr(self, name):
                x = getattr(self, name)(x)
        return x


class Encoder(nn.Module):
    """Image `(B, 3, H, W)` in -1..1 to features `(B, 2 * latent_channels, H / f, W / f)`."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = [config.channels * mult for mult in config.channel_mult]
        self.conv_in = nn.Conv2d(config.in_channels, config.channels, 3, padding=1)
        self.down = nn.ModuleList(
            Level(before, after, config.num_res_blocks)
            for before, after in zip([config.channels, *widths], widths, strict=False)
        )
        for level, width in zip(self.down[:-1], widths, strict=False):
            level.downsample = Downsample(width)
        self.mid = Middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down:
            h = level(h)
        out: Tensor = self.conv_out(F.silu(self.norm_out(self.mid(h))))
        return out


class Decoder(nn.Module):
    """Latent `(B, latent_channels, h, w)` to image `(B, 3, h * f, w * f)` in about -1..1."""

    def __init__(self, config: AutoencoderConfig, block: type[ResnetBlock] = ResnetBlock) -> None:
        super().__init__()
        widths = [config.channels * mult for mult in config.channel_mult]
        self.conv_in = nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], block)
        self.up = nn.ModuleList(
            Level(before, after, config.num_res_blocks + 1, block)
            for before, after in zip([*widths[1:], widths[-1]], widths, strict=True)
        )
        for level, width in zip(self.up[1:], widths[1:], strict=True):
            level.upsample = Upsample(width)
        self.norm_out = _norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], config.out_channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        out: Tensor = self.conv_out(F.silu(self.norm_out(h)))
        return out


class Autoencoder(nn.Module):
    """Encoder and decoder with the 1x1 convolutions between them."""

    def __init__(self, config: AutoencoderConfig, decoder: type[Decoder] = Decoder) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = decoder(config)
        if config.quant:
            self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        if config.post_quant:
            self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance `(B, C, h, w)` of the latents of `x` `(B, 3, H, W)` in -1..1."""
        h = self.encoder(x)
        mean, logvar = (self.quant_conv(h) if self.config.quant else h).chunk(2, dim=1)
        return mean, logvar.clamp(-30.0, 20.0)

    def decode(self, z: Tensor) -> Tensor:
        """Image `(B, 3, H, W)`, about -1..1, of latents `(B, C, h, w)`."""
        out: Tensor = self.decoder(self.post_quant_conv(z) if self.config.post_quant else z)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of `x` through the mean of its latents."""
        return self.decode(self.encode(x)[0])


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)
