"""Checkpoints: single files of the Stable Diffusion 1.x layout, and autoencoders in files of their own.

Nets are built without memory and then given the mapped tensors of the file, so nothing is held twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.assembly import fill
from engine.models.configs import autoencoder_config, unet_config
from engine.models.detect import CLIP, SUPPORTED, UNET, VAE, Detection, detect, wrong_kind
from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.unet import UNet
from engine.models.text.encoder import Embeddings, TextEncoder
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.text.tower import load_tower
from engine.models.vae import Vae
from engine.models.weights import Weights, open_weights

Prediction: TypeAlias = Literal["epsilon", "v"]

SD1_SCALE_FACTOR = 0.18215  # makes latents of the published autoencoder about unit variance (Rombach et al. 2022)
SD1_DOWNSCALE = 8


_ATTENTION_NAMES = {
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "proj_out",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out": "proj_out",
    "group_norm": "norm",
}


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The parts of a checkpoint; the text encoder and the autoencoder may be missing from the file.

    Latents have `latent_channels` channels and cells of `downscale` pixels, and are multiplied by `scale_factor` for
    the UNet, which predicts `prediction`.
    """

    detection: Detection
    unet: ModelHandle[UNet]
    prediction: Prediction
    latent_channels: int
    scale_factor: float
    downscale: int
    text_encoder: TextEncoder | None
    vae: Vae | None


def no_embeddings(_name: str) -> tuple[Tensor, ...] | None:
    """An embedding look-up that knows none."""
    return None


def load_checkpoint(
    path: Path,
    device: torch.device,
    embeddings: Embeddings = no_embeddings,
    *,
    dtype: torch.dtype | None = None,
) -> Checkpoint:
    """Load a single-file checkpoint. EMA weights, schedule buffers and position ids in it are ignored.

    The UNet computes in `dtype`, which is float32 on the CPU and float16 elsewhere if None; the text encoder and the
    autoencoder compute in float32. Raises `ArchitectureError` for a file of another kind or family, and what
    `open_weights` raises for a damaged one.
    """
    weights = open_weights(path)
    detection = detect(weights.shapes)
    if detection.kind != "checkpoint" or detection.family != SUPPORTED:
        raise wrong_kind(path, detection, f"a checkpoint of {SUPPORTED}")
    where, text, vae = path.name, weights.part(CLIP), weights.part(VAE)
    autoencoder = _vae(vae, device, where) if vae else None
    unet = _unet(weights, dtype or _compute_dtype(device), where)
    return Checkpoint(
        detection,
        ModelHandle(unet, device),
        "v" if "v_pred" in weights else "epsilon",  # a marker that v-prediction derivatives carry
        unet.config.out_channels,
        SD1_SCALE_FACTOR,
        autoencoder.downscale if autoencoder else SD1_DOWNSCALE,
        _text_encoder(text, device, embeddings, where) if text else None,
        autoencoder,
    )


def load_vae(path: Path, device: torch.device) -> Vae:
    """Load an autoencoder from a file of its own (with or without the checkpoint prefix) or out of a checkpoint.

    Raises `ArchitectureError` for a file of another kind, and what `open_weights` raises.
    """
    weights = open_weights(path)
    prefix = VAE if any(name.startswith(VAE) for name in weights) else ""
    if f"{prefix}decoder.mid.block_1.conv1.weight" not in weights:
        raise wrong_kind(path, detect(weights.shapes), "an autoencoder (VAE) in the original layout")
    return _vae(weights.part(prefix), device, path.name)


def _unet(weights: Weights, dtype: torch.dtype, where: str) -> UNet:
    config = unet_config(weights.shapes, where=where)
    with torch.device("meta"):
        net = UNet(config)
    return fill(net, weights.part(UNET), dtype, where, exact=True)


def _vae(weights: Mapping[str, Tensor], device: torch.device, where: str) -> Vae:
    named = {_todays_name(name): tensor for name, tensor in weights.items()}
    config = autoencoder_config({name: tuple(tensor.shape) for name, tensor in named.items()}, "", where=where)
    with torch.device("meta"):
        net = Autoencoder(config)
    fill(net, named, torch.float32, where)  # half precision overflows in autoencoders
    return Vae(ModelHandle(net, device), config.downscale, config.latent_channels)


def _text_encoder(
    weights: Mapping[str, Tensor], device: torch.device, embeddings: Embeddings, where: str
) -> TextEncoder:
    net = load_tower(weights, torch.float32, where)
    return TextEncoder(ModelHandle(net, device), ClipTokenizer.load(), embeddings)


def _todays_name(name: str) -> str:
    """Attention names of old autoencoder files (`query`, `to_q`, ...) in today's form."""
    if ".attn_1." not in name:
        return name
    head, _, leaf = name.rpartition(".")
    block, _, part = head.removesuffix(".0").rpartition(".")
    return f"{block}.{_ATTENTION_NAMES.get(part, part)}.{leaf}"


def _compute_dtype(device: torch.device) -> torch.dtype:
    """Half precision where it is fast; CPUs widen, which is exact and faster there."""
    return torch.float32 if device.type == "cpu" else torch.float16
