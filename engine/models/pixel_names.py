"""The pixel UNet of a cascade from its tensors: its shape, and diffusers' names brought to those of the original."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from engine.models.configs import shape
from engine.models.detect import Shapes
from engine.models.diffusers_names import RESNET
from engine.models.nets.pixel_unet import HEAD_CHANNELS, PixelUNetConfig

_ATTENTION = {"group_norm": "norm", "norm_cross": "norm_encoder", "to_out.0": "proj_out"}
_FUSED = {"qkv": ("to_q", "to_k", "to_v"), "encoder_kv": ("add_k_proj", "add_v_proj")}
_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "aug_proj.0",
    "class_embedding.linear_2": "aug_proj.2",
    "encoder_hid_proj": "encoder_proj",
    "add_embedding.norm1": "encoder_pooling.0",
    "add_embedding.pool": "encoder_pooling.1",
    "add_embedding.proj": "encoder_pooling.2",
    "add_embedding.norm2": "encoder_pooling.3",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_LAYER = re.compile(
    r"(down_blocks|up_blocks|mid_block)\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)"
)


def pixel_config(shapes: Shapes, *, where: str = "", head_channels: int | None = None) -> PixelUNetConfig:
    """The shape of a pixel UNet in the original's names.

    Levels are counted on the way up, where a second residual block ends one. How wide heads are cannot be seen: 64,
    as published, or the largest part of that which divides all levels with attention, unless `head_channels` says so.
    Raises `ArchitectureError` naming the tensor that is missing.
    """
    in_channels = shape(shapes, "input_blocks.0.0.weight", where)[1]
    blocks = _blocks(shapes)
    widths, attention, number = [], [], 1
    for count in blocks:
        widths.append(shape(shapes, f"input_blocks.{number}.0.in_layers.2.weight", where)[0])
        attention.append(f"input_blocks.{number}.1.qkv.weight" in shapes)
        number += count + 1
    rows, channels = shape(shapes, "middle_block.1.qkv.weight", where)[:2]
    encoder = shape(shapes, "encoder_pooling.0.weight", where)[0]
    attending = [width for width, attends in zip(widths, attention, strict=True) if attends]
    return PixelUNetConfig(
        in_channels=in_channels,
        out_channels=shape(shapes, "out.2.weight", where)[0],
        widths=tuple(widths),
        blocks=tuple(blocks),
        attention=tuple(attention),
        embedding_channels=shape(shapes, "time_embed.0.weight", where)[0],
        encoder_channels=encoder,
        word_channels=shapes["encoder_proj.weight"][0] if "encoder_proj.weight" in shapes else None,
        head_channels=head_channels or math.gcd(HEAD_CHANNELS, widths[-1], *attending),
        cross_only=rows == channels,
        levels="aug_proj.0.weight" in shapes,
    )


def _blocks(shapes: Shapes) -> list[int]:
    """Residual blocks of each level, finest first: on the way up there is one more, and the last doubles the size."""
    ups = {
        int(name.split(".")[1]) for name in shapes if re.match(r"output_blocks\.\d+\.[12]\.in_layers\.0\.weight", name)
    }
    count = len({name.split(".")[1] for name in shapes if name.startswith("output_blocks.")})
    ends = [*sorted(ups), count - 1]
    starts = [0, *(end + 1 for end in ends)]
    return [end - start for start, end in zip(starts, ends, strict=False)][::-1]


def is_pixel_unet(names: Mapping[str, object]) -> bool:
    """Whether names are those of a pixel UNet, in either form."""
    return "encoder_pooling.0.weight" in names or "add_embedding.pool.positional_embedding" in names


def original_pixel_unet(weights: Mapping[str, Tensor], head_channels: int | None = None) -> dict[str, Tensor]:
    """The tensors of a pixel UNet under the names of the original files.

    Queries, keys and values of each head lie together there, and layers over words are convolutions.
    """
    if "encoder_pooling.0.weight" in weights:
        return dict(weights)
    places = _places(weights)
    attention: dict[str, dict[str, Tensor]] = {}
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        found = _LAYER.fullmatch(name)
        if found is None:
            start = next((start for start in _ENDS if name.startswith(start + ".")), None)
            named[name if start is None else _ENDS[start] + name.removeprefix(start)] = tensor
            continue
        part, level, kind, number, rest = found.groups()
        place = places[f"{part}.{level or ''}.{kind}.{number}"]
        if kind == "attentions":
            attention.setdefault(place, {})[rest] = tensor
            continue
        layer, _, leaf = rest.rpartition(".")
        named[f"{place}.{RESNET.get(layer, layer)}.{leaf}"] = tensor
    widths = [parts["to_q.weight"].shape[0] for parts in attention.values() if "to_q.weight" in parts]
    width = head_channels or math.gcd(HEAD_CHANNELS, *widths)
    for place, parts in attention.items():
        named |= {f"{place}.{name}": tensor for name, tensor in _attention(parts, width).items()}
    return named


def _attention(parts: Mapping[str, Tensor], head_channels: int) -> dict[str, Tensor]:
    fused = {name for names in _FUSED.values() for name in names}
    named: dict[str, Tensor] = {}
    for name, tensor in parts.items():
        layer, _, leaf = name.rpartition(".")
        if layer not in fused:
            convolution = layer == "to_out.0" and leaf == "weight"
            named[f"{_ATTENTION.get(layer, layer)}.{leaf}"] = tensor[:, :, None] if convolution else tensor
    for layer, names in _FUSED.items():
        for leaf in ("weight", "bias"):
            own = [parts[f"{name}.{leaf}"] for name in names if f"{name}.{leaf}" in parts]
            if own:
                together = torch.stack([t.reshape(-1, head_channels, *t.shape[1:]) for t in own], dim=1).flatten(0, 2)
                named[f"{layer}.{leaf}"] = together[:, :, None] if leaf == "weight" else together
    return named


def _places(names: Mapping[str, object]) -> dict[str, str]:
    """Where each layer of diffusers' blocks lies in the original."""
    layers = {found.group(0)[: -len(found.group(5)) - 1] for found in map(_LAYER.fullmatch, names) if found}
    places = {
        "mid_block..resnets.0": "middle_block.0",
        "mid_block..attentions.0": "middle_block.1",
        "mid_block..resnets.1": "middle_block.2",
    }
    for part, blocks, number, resampler in (
        ("down_blocks", "input_blocks", 1, "downsamplers"),
        ("up_blocks", "output_blocks", 0, "upsamplers"),
    ):
        level = 0
        while f"{part}.{level}.resnets.0" in layers:
            index = 0
            while f"{part}.{level}.resnets.{index}" in layers:
                places[f"{part}.{level}.resnets.{index}"] = f"{blocks}.{number}.0"
                places[f"{part}.{level}.attentions.{index}"] = f"{blocks}.{number}.1"
                index, number = index + 1, number + 1
            if part == "down_blocks":
                places[f"{part}.{level}.{resampler}.0"] = f"{blocks}.{number}.0"
                number += f"{part}.{level}.{resampler}.0" in layers
            else:
                attends = f"{part}.{level}.attentions.0" in layers
                places[f"{part}.{level}.{resampler}.0"] = f"{blocks}.{number - 1}.{1 + attends}"
            level += 1
    return places
