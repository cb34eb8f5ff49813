"""Reference nets of diffusers and transformers, and their weights under the names of Stable Diffusion 1.x files.

The names are converted here, independently of the engine, so that a fault in its loader cannot hide.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

State = dict[str, Tensor]

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet(widths: tuple[int, ...] = (320, 640, 1280, 1280), depth: int = 2, context: int = 768) -> UNet2DConditionModel:
    """An SD1 UNet with cross-attention on all levels but the last."""
    last = len(widths) - 1
    with torch.device("meta"):
        net = UNet2DConditionModel(
            block_out_channels=widths,
            layers_per_block=depth,
            cross_attention_dim=context,
            attention_head_dim=8,  # what diffusers calls so is the number of heads
            down_block_types=["CrossAttnDownBlock2D"] * last + ["DownBlock2D"],
            up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * last,
        )
    return randomised(net)


def autoencoder(widths: tuple[int, ...] = (128, 256, 512, 512), depth: int = 2) -> AutoencoderKL:
    """An SD1 autoencoder."""
    with torch.device("meta"):
        net = AutoencoderKL(
            block_out_channels=widths,
            layers_per_block=depth,
            latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * len(widths),
            up_block_types=["UpDecoderBlock2D"] * len(widths),
        )
    return randomised(net)


def text_encoder(width: int = 768, layers: int = 12) -> CLIPTextModel:
    """A CLIP text tower with the standard vocabulary and heads of 64 channels."""
    return randomised(blank_text_encoder(width, layers))


def blank_text_encoder(width: int = 768, layers: int = 12) -> CLIPTextModel:
    """The same on the meta device, without numbers."""
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        vocab_size=49408,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
    )
    with torch.device("meta"):
        return CLIPTextModel(config)


def randomised(net: Any, seed: int = 0) -> Any:
    """`net`, built on the meta device, with random weights that keep its outputs at the order of 1."""
    generator = torch.Generator().manual_seed(seed)
    net = net.to_empty(device="cpu").eval().requires_grad_(False)
    for name, weight in net.state_dict().items():
        if weight.ndim > 1:
            weight.normal_(0, 0.5 / math.sqrt(math.prod(weight.shape[1:])), generator=generator)
        else:
            weight.uniform_(-0.1, 0.1, generator=generator)
            weight += 1.0 if name.endswith("weight") else 0.0
    _number_positions(net)
    return net


def _number_positions(net: nn.Module) -> None:
    for name, buffer in net.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1])[None])


def unet_state(net: UNet2DConditionModel) -> State:
    """The weights of a UNet under the original names, without prefix."""
    levels, depth = len(net.config.block_out_channels), net.config.layers_per_block
    table = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    down = up = 0
    for level in range(levels):
        for block in range(depth):
            down += 1
            table[f"down_blocks.{level}.resnets.{block}"] = f"input_blocks.{down}.0"
            table[f"down_blocks.{level}.attentions.{block}"] = f"input_blocks.{down}.1"
        down += 1
        table[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{down}.0.op"
        for block in range(depth + 1):
            table[f"up_blocks.{level}.resnets.{block}"] = f"output_blocks.{up}.0"
            table[f"up_blocks.{level}.attentions.{block}"] = f"output_blocks.{up}.1"
            up += 1
        place = 2 if hasattr(net.up_blocks[level], "attentions") else 1
        table[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{up - 1}.{place}.conv"
    return _renamed(net.state_dict(), table, _RESNET)


def autoencoder_state(net: AutoencoderKL) -> State:
    """The weights of an autoencoder under the original names, without prefix."""
    levels, depth = len(net.config.block_out_channels), net.config.layers_per_block
    table = {name: name for name in ("quant_conv", "post_quant_conv")}
    for side in ("encoder", "decoder"):
        table |= {f"{side}.conv_{end}": f"{side}.conv_{end}" for end in ("in", "out")}
        table[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        table |= {f"{side}.mid_block.resnets.{i}": f"{side}.mid.block_{i + 1}" for i in range(2)}
        table[f"{side}.mid_block.attentions.0"] = f"{side}.mid.attn_1"
    for level in range(levels):
        mirrored = levels - 1 - level
        table |= {f"encoder.down_blocks.{level}.resnets.{i}": f"encoder.down.{level}.block.{i}" for i in range(depth)}
        table[f"encoder.down_blocks.{level}.downsamplers.0"] = f"encoder.down.{level}.downsample"
        table |= {
            f"decoder.up_blocks.{level}.resnets.{i}": f"decoder.up.{mirrored}.block.{i}" for i in range(depth + 1)
        }
        table[f"decoder.up_blocks.{level}.upsamplers.0"] = f"decoder.up.{mirrored}.upsample"
    state = _renamed(net.state_dict(), table, {"conv_shortcut": "nin_shortcut"} | _VAE_ATTENTION)
    linear = [name for name, weight in state.items() if ".attn_1." in name and weight.ndim == 2]
    return state | {name: state[name][..., None, None] for name in linear}


def text_encoder_state(net: CLIPTextModel) -> State:
    """The weights of a text tower as SD1 files name them: with `text_model.`, and with position ids."""
    state = {f"text_model.{name.removeprefix('text_model.')}": weight for name, weight in net.state_dict().items()}
    return state | {"text_model.embeddings.position_ids": torch.arange(77)[None]}


def checkpoint_state(net: UNet2DConditionModel, vae: AutoencoderKL, text: CLIPTextModel) -> State:
    """All weights of a single-file checkpoint."""
    return (
        {f"model.diffusion_model.{name}": weight for name, weight in unet_state(net).items()}
        | {f"first_stage_model.{name}": weight for name, weight in autoencoder_state(vae).items()}
        | {f"cond_stage_model.transformer.{name}": weight for name, weight in text_encoder_state(text).items()}
    )


def _renamed(state: State, blocks: dict[str, str], leaves: dict[str, str]) -> State:
    """Each name with its longest known beginning, and then its parts, replaced."""
    renamed = {}
    for name, weight in state.items():
        block = max((start for start in blocks if name.startswith(start + ".")), key=len)
        rest = name.removeprefix(block + ".")
        leaf = next((old for old in leaves if rest.startswith(old + ".")), None)
        rest = rest if leaf is None else leaves[leaf] + rest.removeprefix(leaf)
        renamed[f"{blocks[block]}.{rest}"] = weight
    return renamed
