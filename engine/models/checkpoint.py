"""Checkpoints: single files of the Stable Diffusion 1.x layout, and autoencoders on their own.

Nets are built without memory, then given the mapped tensors of the file, so nothing is held twice. On the CPU, half
precision is widened to float32, which is faster and exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from engine.memory.handle import ModelHandle
from engine.models import detect
from engine.models.detect import ArchitectureError, Detection
from engine.models.nets.autoencoder import Autoencoder
from engine.models.nets.unet import UNet
from engine.models.text.encoder import Embeddings, TextEncoder, build_text_net
from engine.models.text.tokenizer import ClipTokenizer
from engine.models.vae import Vae
from engine.models.weights import Weights, open_weights

_OLD_ATTENTION_NAMES = {
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "proj_out",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out": "proj_out",
}


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The parts of a checkpoint; the text encoder and the autoencoder may be missing from the file."""

    detection: Detection
    unet: ModelHandle[UNet]
    latent_channels: int
    downscale: int
    text_encoder: TextEncoder | None
    vae: Vae | None


def load_checkpoint(path: Path, device: torch.device, embeddings: Embeddings) -> Checkpoint:
    """Load a single-file checkpoint. EMA weights, schedule buffers and position ids in it are ignored.

    Raises `WeightsError` for a damaged file and `ArchitectureError` for one of another kind or family.
    """
    weights = open_weights(path)
    detection = detect.detect(weights.shapes)
    if detection.kind != "checkpoint" or detection.family != detect.SUPPORTED:
        raise _refusal(path, detection)
    config = detect.unet_config(weights.shapes, where=path.name)
    with torch.device("meta"):
        unet = UNet(config)
    _fill(unet, _part(weights, detect.UNET), device, path.name)
    vae = _vae(_part(weights, detect.VAE), device, path.name) if _has(weights, detect.VAE) else None
    text = _text_encoder(weights, device, embeddings) if _has(weights, detect.CLIP) else None
    downscale = vae.downscale if vae else 8
    return Checkpoint(detection, ModelHandle(unet, device), config.out_channels, downscale, text, vae)


def load_vae(path: Path, device: torch.device) -> Vae:
    """Load an autoencoder from a file of its own (with or without the checkpoint prefix) or from a checkpoint."""
    weights = open_weights(path)
    prefix = detect.VAE if _has(weights, detect.VAE) else ""
    if f"{prefix}decoder.conv_in.weight" not in weights.shapes:
        raise _refusal(path, detect.detect(weights.shapes), expected="an autoencoder (VAE)")
    return _vae(_part(weights, prefix), device, path.name)


def _vae(weights: Mapping[str, Tensor], device: torch.device, where: str) -> Vae:
    named = {_modern_name(name): tensor for name, tensor in weights.items()}
    config = detect.autoencoder_config({name: tuple(t.shape) for name, t in named.items()}, "", where=where)
    with torch.device("meta"):
        net = Autoencoder(config)
    _fill(net, named, device, where)
    return Vae(ModelHandle(net, device), config.downscale, config.latent_channels)


def _text_encoder(weights: Weights, device: torch.device, embeddings: Embeddings) -> TextEncoder:
    """The CLIP tower; files and versions of transformers differ in whether names begin with `text_model.`."""
    named = {name.removeprefix("text_model."): tensor for name, tensor in _part(weights, detect.CLIP).items()}
    net: CLIPTextModel = build_text_net({name: tuple(tensor.shape) for name, tensor in named.items()})
    prefix = "text_model." if any(name.startswith("text_model.") for name in net.state_dict()) else ""
    _fill(net, {prefix + name: tensor for name, tensor in named.items()}, device, str(weights.path.name))
    return TextEncoder(ModelHandle(net, device), ClipTokenizer.load(), embeddings)


def _fill(net: nn.Module, weights: Mapping[str, Tensor], device: torch.device, where: str) -> None:
    """Give `net`, built on the meta device, its tensors; what it does not know is left out."""
    wanted = net.state_dict()
    given: dict[str, Tensor] = {}
    for name, empty in wanted.items():
        tensor = weights.get(name)
        if tensor is None:
            raise ArchitectureError("a tensor is missing", where=where, expected=name, hint="The file is incomplete.")
        if tensor.shape != empty.shape and tensor.numel() == empty.numel():
            tensor = tensor.reshape(empty.shape)  # attention of old autoencoders: linear or 1x1 convolution
        if tensor.shape != empty.shape:
            raise ArchitectureError(
                f"tensor {name} does not fit",
                where=where,
                expected=str(tuple(empty.shape)),
                got=str(tuple(tensor.shape)),
            )
        given[name] = _computable(tensor, device)
    net.load_state_dict(given, assign=True)
    for name, buffer in list(net.named_buffers()):
        if buffer.is_meta:  # position ids: not in the state, always 0, 1, 2, ...
            module, _, leaf = name.rpartition(".")
            net.get_submodule(module).register_buffer(leaf, torch.arange(buffer.shape[-1])[None], persistent=False)


def _computable(tensor: Tensor, device: torch.device) -> Tensor:
    if device.type == "cpu" and tensor.is_floating_point():
        return tensor.float()
    return tensor


def _part(weights: Weights, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}


def _has(weights: Weights, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in weights)


def _modern_name(name: str) -> str:
    """Attention names of old autoencoder files (`query`, `to_q`, ...) in today's form."""
    if ".attn_1." not in name:
        return name
    head, _, leaf = name.rpartition(".")
    block, _, part = head.removesuffix(".0").rpartition(".")
    return f"{block}.{_OLD_ATTENTION_NAMES.get(part, part)}.{leaf}"


def _refusal(
    path: Path, detection: Detection, expected: str = f"a checkpoint of {detect.SUPPORTED}"
) -> ArchitectureError:
    if detection.kind in ("checkpoint", "unknown"):
        hint = f"It was told from this: {'; '.join(detection.evidence)}."
    else:
        hint = f"Put it where files of its kind ({detection.kind}) belong and load it with their node."
    return ArchitectureError(
        "this file is of another kind",
        where=path.name,
        expected=expected,
        got=f"{detection.family} ({detection.kind})",
        hint=hint,
    )
