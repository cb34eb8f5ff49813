"""diffusers' ControlNets, unions and adapters, tiny and random, and their weights under original names."""

from __future__ import annotations

import copy
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter, UNet2DConditionModel

from tests.oracles import families, sd1
from tests.oracles.sd1 import State

HINT = (16, 32, 96, 256)
_UNION = ("task_embedding", "transformer_layes", "spatial_ch_projs", "control_add_embedding")


def controlnet(unet: Any, *, union: bool = False, hint: tuple[int, ...] = (16, 32), **options: Any) -> Any:
    """A random ControlNet for `unet`, which gives outputs of the order of 1."""
    kind: Any = ControlNetUnionModel if union else ControlNetModel
    if union:
        width = unet.config.block_out_channels[0]
        options = {"num_control_type": 8, "num_trans_channel": width, "num_proj_channel": width} | options
    own = ("in_channels", "block_out_channels", "layers_per_block", "cross_attention_dim", "use_linear_projection")
    own += ("transformer_layers_per_block", "down_block_types", "attention_head_dim", "addition_embed_type")
    own += ("addition_time_embed_dim", "projection_class_embeddings_input_dim", "class_embed_type")
    with torch.device("meta"):
        net = kind(**{name: unet.config[name] for name in own}, conditioning_embedding_out_channels=hint, **options)
    return sd1.randomised(net, seed=3)


def controlnet_state(net: Any) -> State:
    """The weights of a ControlNet under the original names, without prefix."""
    rest = {name: weight for name, weight in net.state_dict().items() if not name.startswith(("controlnet", *_UNION))}
    last = 4 * (len(net.config.conditioning_embedding_out_channels) - 1) + 2
    renamed = {}
    for name, weight in net.state_dict().items():
        leaf = name.rpartition(".")[2]
        parts = name.split(".")
        if parts[0] == "controlnet_down_blocks":
            renamed[f"zero_convs.{parts[1]}.0.{leaf}"] = weight
        elif parts[0] == "controlnet_mid_block":
            renamed[f"middle_block_out.0.{leaf}"] = weight
        elif parts[0] == "controlnet_cond_embedding":
            place = {"conv_in": 0, "conv_out": last}.get(parts[1])
            renamed[f"input_hint_block.{2 * (int(parts[2]) + 1) if place is None else place}.{leaf}"] = weight
        elif parts[0] in _UNION:
            renamed[name] = weight

    class Encoder:
        config, up_blocks = net.config, net.down_blocks

        def state_dict(self) -> State:
            return rest

    return families.unet_state(Encoder()) | renamed  # type: ignore[arg-type]


def adapter(widths: tuple[int, ...], kind: str = "full_adapter", channels: int = 3) -> Any:
    """A random T2I-Adapter."""
    factor = 16 if kind.endswith("xl") else 8
    blocks = 4 if kind.startswith("light") else 2
    with torch.device("meta"):
        net = T2IAdapter(channels, list(widths), blocks, factor, kind)
    return sd1.randomised(net, seed=4)


def adapter_state(net: Any) -> State:
    """The weights of an adapter under the original names."""
    light = net.config.adapter_type.startswith("light")
    renamed = {}
    for name, weight in net.state_dict().items():
        parts = name.removeprefix("adapter.").split(".")
        if "resnets" in parts and light:
            parts[2] = "body"
        elif "resnets" in parts:
            parts = ["body", str(2 * int(parts[1]) + int(parts[3])), *parts[4:]]
        elif parts[0] == "body" and not light:
            parts[1] = str(2 * int(parts[1]))
        renamed[".".join(parts)] = weight
    return renamed


def copied(net: Any) -> Any:
    """A net that may be changed while the one it was made of stays."""
    return copy.deepcopy(net)


def gated_unet(widths: tuple[int, ...], context: int, *, linear: bool = False) -> Any:
    """A UNet with GLIGEN's layers, whose gates are open."""
    if linear:
        depths = (*(1 for _ in widths[1:]), 0)
        net = families.linear_unet(widths, depths, context, attention_type="gated")
    else:
        last = len(widths) - 1
        with torch.device("meta"):
            net = UNet2DConditionModel(
                block_out_channels=widths,
                layers_per_block=1,
                cross_attention_dim=context,
                attention_head_dim=8,
                down_block_types=["CrossAttnDownBlock2D"] * last + ["DownBlock2D"],
                up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * last,
                attention_type="gated",
            )
        net = sd1.randomised(net)
    for name, weight in net.state_dict().items():
        if "alpha_" in name:
            weight.fill_(0.7)
    return net


def gligen_states(net: Any) -> tuple[State, State]:
    """The weights of a UNet with GLIGEN's layers under the original names: the UNet's own, and GLIGEN's."""
    rest = {name: weight for name, weight in net.state_dict().items() if not name.startswith("position_net.")}

    class Encoder:
        config, up_blocks = net.config, net.up_blocks

        def state_dict(self) -> State:
            return rest

    whole = families.unet_state(Encoder())  # type: ignore[arg-type]
    boxes = {name: weight for name, weight in net.state_dict().items() if name.startswith("position_net.")}
    own = {name: weight for name, weight in whole.items() if ".fuser." not in name}
    return own, {name: weight for name, weight in whole.items() if ".fuser." in name} | boxes


def lora_of(net: Any, base: State, rank: int = 4) -> tuple[State, Any]:
    """A control-lora's file, and the ControlNet that it makes of a UNet's weights."""
    generator = torch.Generator().manual_seed(5)
    file: State = {"lora_controlnet": torch.zeros(1)}
    summed = controlnet_state(net)
    for name, weight in list(summed.items()):
        if name not in base:
            file[name] = weight
        elif weight.ndim > 1:
            up = torch.randn(len(weight), rank, generator=generator) * 0.1
            down = torch.randn(rank, weight[0].numel(), generator=generator) * 0.1
            summed[name] = base[name] + (up @ down).reshape(weight.shape)
            conv = weight.ndim == 4
            file[name.removesuffix("weight") + "up"] = up[..., None, None] if conv else up
            file[name.removesuffix("weight") + "down"] = down.reshape(rank, *weight.shape[1:])
        else:
            summed[name] = base[name]
    biases = [name for name in summed if name.startswith("time_embed") and name.endswith("bias")]
    file |= {name: summed[name] + 0.3 for name in biases}  # what a file holds in full stands for its own
    summed |= {name: file[name] for name in biases}
    return file, summed
