"""Tiny pixel UNets of a cascade as diffusers has them, and their tensors under the names of the original files.

The map to the original names is written here from the published conversion alone, apart from the engine's own.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

ENCODER, WORDS, HEAD = 24, 32, 32
RESIDUAL = 1 / 0.7071


def unet(
    widths: tuple[int, ...] = (32, 64, 96),
    blocks: tuple[int, ...] = (2, 2, 2),
    *,
    upscaling: bool = False,
    seed: int = 0,
    encoder: int = ENCODER,
    size: int = 16,
) -> Any:
    """A random net of stage I, or of the later stages; attention everywhere but on the finest level."""
    torch.manual_seed(seed)
    plain, attending = "ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"
    downs = (plain, *(attending for _ in widths[1:]))
    options: dict[str, Any] = {}
    if upscaling:
        options = {
            "class_embed_type": "timestep",
            "time_embedding_dim": 2 * widths[-1],
            "time_embedding_act_fn": "gelu",
            "resnet_skip_time_act": True,
            "resnet_out_scale_factor": RESIDUAL,
            "mid_block_scale_factor": RESIDUAL,
            "only_cross_attention": True,
        }
    net = UNet2DConditionModel(
        sample_size=size,
        in_channels=6 if upscaling else 3,
        out_channels=6,
        down_block_types=downs,
        up_block_types=tuple(kind.replace("Down", "Up").replace("downsample", "upsample") for kind in reversed(downs)),
        block_out_channels=widths,
        layers_per_block=blocks,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        cross_attention_dim=WORDS,
        attention_head_dim=HEAD,
        encoder_hid_dim=encoder,
        addition_embed_type="text",
        addition_embed_type_num_heads=1,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
        **options,
    ).eval()
    for name, weight in net.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(weight, std=0.5 / max(1, weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.1)
    return net


def original_state(net: Any, head: int = HEAD) -> dict[str, Tensor]:
    """The tensors of a net as the original files have them."""
    blocks = list(net.config.layers_per_block)
    state: dict[str, Tensor] = {}
    for name, weight in net.state_dict().items():
        new = _renamed(name, blocks)
        state[new] = weight[:, :, None] if new.endswith("proj_out.weight") else weight
    for name in [name for name in state if ".to_q.weight" in name]:
        place = name.removesuffix(".to_q.weight")
        _fuse(state, place, "qkv", ("to_q", "to_k", "to_v"), head)
        _fuse(state, place, "encoder_kv", ("add_k_proj", "add_v_proj"), head)
    return {name: weight.contiguous() for name, weight in state.items()}


def _fuse(state: dict[str, Tensor], place: str, fused: str, names: tuple[str, ...], head: int) -> None:
    for leaf in ("weight", "bias"):
        parts = [state.pop(f"{place}.{name}.{leaf}") for name in names if f"{place}.{name}.{leaf}" in state]
        rows = [part[start : start + head] for start in range(0, len(parts[0]), head) for part in parts]
        joined = torch.cat(rows)
        state[f"{place}.{fused}.{leaf}"] = joined[:, :, None] if leaf == "weight" else joined


_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "aug_proj.0",
    "class_embedding.linear_2": "aug_proj.2",
    "encoder_hid_proj": "encoder_proj",
    "add_embedding.norm1": "encoder_pooling.0",
    "add_embedding.pool": "encoder_pooling.1",
    "add_embedding.proj": "encoder_pooling.2",
    "add_embedding.norm2": "encoder_pooling.3",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_LAYERS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
    "group_norm": "norm",
    "norm_cross": "norm_encoder",
    "to_out.0": "proj_out",
}


def _renamed(name: str, blocks: list[int]) -> str:
    for old, new in _ENDS.items():
        if name.startswith(old + "."):
            name = new + name[len(old) :]
    down = re.match(r"down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)", name)
    if down:
        level, kind, index = int(down[1]), down[2], int(down[3])
        first = 1 + sum(blocks[:level]) + level
        place = first + (blocks[level] if kind == "downsamplers" else index)
        name = f"input_blocks.{place}.{int(kind == 'attentions')}" + name[down.end() :]
    up = re.match(r"up_blocks\.(\d+)\.(resnets|attentions|upsamplers)\.(\d+)", name)
    if up:
        level, kind, index = int(up[1]), up[2], int(up[3])
        counts = [count + 1 for count in reversed(blocks)]
        place = sum(counts[:level]) + (counts[level] - 1 if kind == "upsamplers" else index)
        attends = level < len(blocks) - 1
        layer = {"resnets": 0, "attentions": 1, "upsamplers": 1 + attends}[kind]
        name = f"output_blocks.{place}.{layer}" + name[up.end() :]
    if name.startswith("encoder_pooling."):
        return name
    for old, new in _LAYERS.items():
        name = name.replace(f".{old}.", f".{new}.")
    return name
