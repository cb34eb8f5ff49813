"""Reference nets of diffusers for Stable Video Diffusion, and their weights under the original names.

As in `sd1`, names are converted here, independently of the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from diffusers.models.resnet import SpatioTemporalResBlock
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPImageProcessorPil

from tests.oracles import families, sd1, vision
from tests.oracles.sd1 import State

NORM_EPS = 1e-5  # of the original's residual blocks; diffusers has 1e-6 in those with attention behind them


def unet(
    widths: tuple[int, ...] = (320, 640, 1280, 1280), blocks: int = 2, context: int = 1024
) -> UNetSpatioTemporalConditionModel:
    """A video UNet with attention on all levels but the last, and the original's constants."""
    last = len(widths) - 1
    with torch.device("meta"):
        net = UNetSpatioTemporalConditionModel(
            sample_size=64,
            block_out_channels=widths,
            layers_per_block=blocks,
            cross_attention_dim=context,
            num_attention_heads=tuple(width // 64 for width in widths),
            down_block_types=("CrossAttnDownBlockSpatioTemporal",) * last + ("DownBlockSpatioTemporal",),
            up_block_types=("UpBlockSpatioTemporal",) + ("CrossAttnUpBlockSpatioTemporal",) * last,
        )
    for module in net.modules():
        if isinstance(module, SpatioTemporalResBlock):
            for norm in module.modules():
                if isinstance(norm, nn.GroupNorm):
                    norm.eps = NORM_EPS
    return _mixing(sd1.randomised(net))


def autoencoder(widths: tuple[int, ...] = (128, 256, 512, 512), blocks: int = 2) -> AutoencoderKLTemporalDecoder:
    """A video autoencoder."""
    with torch.device("meta"):
        net = AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * len(widths),
            block_out_channels=widths,
            layers_per_block=blocks,
        )
    return _mixing(sd1.randomised(net))


def _mixing(net: Any) -> Any:
    """`net` with shares of its time layers that differ from block to block."""
    factors = [weight for name, weight in net.named_parameters() if name.endswith("mix_factor")]
    for place, factor in enumerate(factors):
        factor.data.fill_(0.8 - 1.6 * place / len(factors))
    return net


def unet_state(net: UNetSpatioTemporalConditionModel) -> State:
    """The weights of a video UNet under the original names, without prefix."""
    state = net.state_dict()
    found = _converted(net, sd1.unet_state, ".in_layers.2.weight", "time_mixer.mix_factor")
    for name, weight in state.items():
        if name.startswith("add_embedding."):
            _, layer, leaf = name.split(".")
            found[f"label_emb.0.{_PLACES[layer]}.{leaf}"] = weight
    return found


def autoencoder_state(net: AutoencoderKLTemporalDecoder) -> State:
    """The weights of a video autoencoder under the original names, without prefix."""
    found = _converted(net, sd1.autoencoder_state, ".conv1.weight", "mix_factor")
    for leaf in ("weight", "bias"):
        found[f"decoder.conv_out.time_mix_conv.{leaf}"] = net.state_dict()[f"decoder.time_conv_out.{leaf}"]
    return found


_OVER_TIME = ("temporal", "time_mixer", "time_pos_embed", "time_conv_out", "add_embedding")
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
}
_PLACES = {"linear_1": "0", "linear_2": "2"}


def _converted(net: Any, convert: Callable[[Any], State], first: str, mixer: str) -> State:
    """Layers over single frames as `convert` names them, and layers over time beside them.

    `first` is how the name of a residual block's first convolution ends, and `mixer` what the share of its time layers
    is called.
    """
    state = net.state_dict()
    still = {
        name.replace(".spatial_res_block.", "."): weight
        for name, weight in state.items()
        if not any(part in name for part in _OVER_TIME)
    }
    found = convert(SimpleNamespace(config=net.config, up_blocks=getattr(net, "up_blocks", ()), state_dict=still.copy))
    places = {id(weight): name for name, weight in found.items()}

    def beside(block: str) -> str:
        if ".resnets." in block:
            return places[id(still[f"{block}.conv1.weight"])].removesuffix(first)
        return places[id(still[f"{block}.norm.weight"])].removesuffix(".norm.weight")

    for name, weight in state.items():
        block, _, rest = name.partition(".time_mixer.")
        if rest:
            found[f"{beside(block)}.{mixer if '.resnets.' in block else 'time_mixer.mix_factor'}"] = weight
        block, _, rest = name.partition(".temporal_res_block.")
        if rest:
            part, leaf = rest.split(".")
            found[f"{beside(block)}.time_stack.{_RESNET[part]}.{leaf}"] = weight
        block, _, rest = name.partition(".temporal_transformer_blocks.")
        if rest:
            found[f"{beside(block)}.time_stack.{rest}"] = weight
        block, _, rest = name.partition(".time_pos_embed.")
        if rest:
            part, leaf = rest.split(".")
            found[f"{beside(block)}.time_pos_embed.{_PLACES[part]}.{leaf}"] = weight
    return found


class VideoSystem:
    """A tiny Stable Video Diffusion: its parts of diffusers and transformers, and its file in the original layout."""

    def __init__(self, widths: tuple[int, ...] = (32, 32, 64), blocks: int = 2) -> None:
        self.unet = unet((64, 128), 1, 48)
        self.vae = autoencoder(widths, blocks)
        self.tower = vision.tower(128, 3, 48, side=32, patch=8)
        self.state: State = {
            **families.prefixed("model.diffusion_model.", unet_state(self.unet)),
            **families.prefixed("first_stage_model.", autoencoder_state(self.vae)),
            **families.prefixed("conditioner.embedders.0.open_clip.model.visual.", vision.open_clip_state(self.tower)),
        }
        autoencoding = autoencoder_state(self.vae).items()
        copy = {name: weight.clone() for name, weight in autoencoding if name.startswith("encoder.")}
        self.state |= families.prefixed("conditioner.embedders.3.encoder.", copy)

    def save(self, folder: Path, name: str = "svd.safetensors") -> Path:
        path = folder / name
        save_file({key: weight.contiguous() for key, weight in self.state.items()}, path)
        return path

    def save_folder(self, folder: Path) -> None:
        """The parts as diffusers and transformers write them."""
        for part, net in (("unet", self.unet), ("vae", self.vae), ("image_encoder", self.tower)):
            net.save_pretrained(folder / part)
        (folder / "scheduler").mkdir()
        (folder / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
        (folder / "model_index.json").write_text("{}")

    def pipeline(self, steps: int) -> Any:
        """diffusers' own pipeline with the published schedule."""
        scheduler = EulerDiscreteScheduler(
            sigma_min=0.002, sigma_max=700.0, timestep_type="continuous", timestep_spacing="leading",
            prediction_type="v_prediction", use_karras_sigmas=True, steps_offset=1, beta_schedule="scaled_linear",
            beta_start=0.00085, beta_end=0.012,
        )  # fmt: skip
        scheduler.set_timesteps(steps)
        made = StableVideoDiffusionPipeline(self.vae, self.tower, self.unet, scheduler, CLIPImageProcessorPil())
        made.set_progress_bar_config(disable=True)
        return made
