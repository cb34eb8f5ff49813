"""ControlNet: a copy of a UNet's way down that sees a hint, and gives what is added on the way up.

Source: Zhang et al. 2023 (ControlNet), figure 3; the published union of several kinds (Qi 2024, ControlNet++) tells
them apart by task vectors and a transformer over the means of the feature maps. Key names are those of the original
files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.nets.unet import UNet, UNetConfig, timestep_embedding

TASK_CHANNELS = 256  # of the sinusoid of each task's flag


@dataclass(frozen=True, slots=True)
class UnionConfig:
    """What a union has besides: the number of `tasks`, and the transformer over `channels` wide means."""

    tasks: int
    channels: int
    heads: int
    layers: int


@dataclass(frozen=True, slots=True)
class ControlNetConfig:
    """Shape of a ControlNet. `unet` is the net that it is a copy of; `hint` the channels of each level of the hint net.

    Hints have `hint_channels` channels; each level of the hint net but the first halves their size.
    """

    unet: UNetConfig
    hint: tuple[int, ...] = (16, 32, 96, 256)
    hint_channels: int = 3
    union: UnionConfig | None = None

    @property
    def downscale(self) -> int:
        """Pixels of a hint for a cell of the latent, along a side."""
        return int(2 ** (len(self.hint) - 1))


class Mlp(nn.Module):
    """Two linear layers with QuickGELU between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(channels, 4 * channels)
        self.c_proj = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """`x` `(..., C)` after both."""
        h = self.c_fc(x)
        out: Tensor = self.c_proj(h * torch.sigmoid(1.702 * h))
        return out


class ResidualAttention(nn.Module):
    """A block of CLIP's transformer: attention and an MLP, each after a normalisation and added to its input.

    The published code lets tokens attend over the batch instead of over each other. Whatever is painted from one hint
    has the same tokens all over the batch, so that each sees itself alone; here it does so in every batch.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)
        self.ln_2 = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """`x` `(B, N, C)` after the block."""
        alone = self.ln_1(x).flatten(0, 1)[:, None]
        x = x + self.attn(alone, alone, alone, need_weights=False)[0].view_as(x)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class ControlNet(nn.Module):
    """Gives, for each feature map that a UNet keeps on its way down, and for its middle, what is added to it."""

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__()
        self.config = config
        base, width = UNet(config.unet), config.unet.model_channels
        self.time_embed = base.time_embed
        if config.unet.vector_channels is not None:
            self.label_emb = base.label_emb
        self.input_blocks, self.middle_block = base.input_blocks, base.middle_block
        widths = [channels for channels, _ in kept_maps(config.unet)]
        self.zero_convs = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, channels, 1)) for channels in widths)
        self.middle_block_out = nn.Sequential(nn.Conv2d(widths[-1], widths[-1], 1))
        self.input_hint_block = _hint_net(config, width)
        if config.union is not None:
            union = config.union
            self.task_embedding = nn.Parameter(torch.zeros(union.tasks, union.channels))
            self.transformer_layes = nn.ModuleList(  # so spelled in the files
                ResidualAttention(union.channels, union.heads) for _ in range(union.layers)
            )
            self.spatial_ch_projs = nn.Linear(union.channels, width)
            self.control_add_embedding = nn.ModuleDict(
                {
                    "linear_1": nn.Linear(TASK_CHANNELS * union.tasks, 4 * width),
                    "linear_2": nn.Linear(4 * width, 4 * width),
                }
            )

    def embedded(self, hint: Tensor) -> Tensor:
        """A hint `(B, 3, H, W)` in 0..1 as the net adds it to the latent, `(B, C, H / downscale, W / downscale)`."""
        out: Tensor = self.input_hint_block(hint)
        return out

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        hint: Tensor,
        tasks: Sequence[int] = (),
    ) -> list[Tensor]:
        """What is added to each kept feature map, in the order of the way down, and last to the middle.

        `x`, `timesteps`, `context` and `y` as the UNet takes them, `hint` embedded; a union is told its `tasks`.
        """
        embedding = self.time_embed(timestep_embedding(timesteps, self.config.unet.model_channels).to(x.dtype))
        if self.config.unet.vector_channels is not None:
            embedding = embedding + self.label_emb(y)
        if self.config.union is not None:
            embedding = embedding + self._told(tasks, x)
        outputs: list[Tensor] = []
        for number, (block, out) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            x = block(x, embedding, context)
            if number == 0:
                x = x + self._merged(x, hint, tasks)
            outputs.append(out(x))
        outputs.append(self.middle_block_out(self.middle_block(x, embedding, context)))
        return outputs

    def _told(self, tasks: Sequence[int], x: Tensor) -> Tensor:
        """The embedding `(1, E)` of which tasks are asked for."""
        assert self.config.union is not None
        flags = torch.zeros(self.config.union.tasks, device=x.device)
        flags[list(tasks)] = 1
        waves = timestep_embedding(flags, TASK_CHANNELS).reshape(1, -1).to(x.dtype)
        h = F.silu(self.control_add_embedding["linear_1"](waves))
        out: Tensor = self.control_add_embedding["linear_2"](h)
        return out

    def _merged(self, x: Tensor, hint: Tensor, tasks: Sequence[int]) -> Tensor:
        """What is added to the latent's first feature map `x` `(B, C, h, w)`."""
        if self.config.union is None or not tasks:
            return hint
        seen = hint.mean(dim=(2, 3))
        tokens = torch.stack([*(seen + self.task_embedding[task] for task in tasks), x.mean(dim=(2, 3))], dim=1)
        for layer in self.transformer_layes:
            tokens = layer(tokens)
        total = torch.zeros_like(x)
        for place in range(len(tasks)):
            total = total + hint + self.spatial_ch_projs(tokens[:, place])[:, :, None, None]
        return total


def kept_maps(config: UNetConfig) -> list[tuple[int, int]]:
    """Channels of each feature map that a UNet keeps on its way down, and how often it was halved."""
    maps = [(config.model_channels, 0)]
    for level, mult in enumerate(config.channel_mult):
        maps += [(mult * config.model_channels, level)] * config.num_res_blocks
        if level < len(config.channel_mult) - 1:
            maps.append((mult * config.model_channels, level + 1))
    return maps


def _hint_net(config: ControlNetConfig, width: int) -> nn.Sequential:
    """Convolutions with SiLU between: on each level one that keeps the size and, but for the last, one that halves it.

    The places in the row are those of the files: activations are at odd ones.
    """
    layers: list[nn.Module] = [nn.Conv2d(config.hint_channels, config.hint[0], 3, padding=1)]
    for number, channels in enumerate(config.hint[:-1]):
        layers += [nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        layers += [nn.SiLU(), nn.Conv2d(channels, config.hint[number + 1], 3, stride=2, padding=1)]
    return nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(config.hint[-1], width, 3, padding=1))
