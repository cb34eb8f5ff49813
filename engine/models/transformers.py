"""Transformer nets (DiT, PixArt, U-ViT) from files of their own and from diffusers' folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.assembly import unfilled
from engine.models.checkpoint import Checkpoint, unet_in
from engine.models.detect import UNET, ArchitectureError, Detection, detect, wrong_kind
from engine.models.labels import imagenet_names
from engine.models.nets.dit import DiT
from engine.models.nets.pixart import PixArt
from engine.models.nets.uvit import UViT
from engine.models.parts import in_types
from engine.models.transformer_configs import dit_config, pixart_config, shapes_of, uvit_config
from engine.models.transformer_families import ALPHA, DIT, SIGMA, TRANSFORMERS
from engine.models.transformer_names import is_diffusers, original_names, with_places
from engine.models.vae import Vae
from engine.models.weights import Weights, open_weights

TransformerNet: TypeAlias = DiT | PixArt | UViT
Net = TypeVar("Net", DiT, PixArt, UViT)
Config = TypeVar("Config")

SIDE = 32  # cells along a side of the pictures that a DiT in diffusers' names is taken for, where no folder says it
LARGE_SIDE = 64  # from here on places of PixArt's tokens lie closer together, unless its folder says otherwise


def load_transformer(
    path: Path,
    device: torch.device,
    *,
    dtype: torch.dtype | None = None,
    stored: torch.dtype | None = None,
    family: str | None = None,
) -> Checkpoint:
    """Load a transformer net from a file of its own, in the original's or diffusers' names.

    It computes in `dtype`, and its weights lie in `stored`; of what is None the run says it, see `memory.precision`.
    `family` overrides what is detected. Raises `ArchitectureError` for a file of another kind or family, and what
    `open_weights` raises for a damaged one.
    """
    weights = open_weights(path)
    detection = _said(family) if family else detect(weights.shapes)
    return _loaded(weights, detection, device, dtype, stored)


def load_diffusion_net(path: Path, device: torch.device, *, stored: torch.dtype | None = None) -> Checkpoint:
    """Load a net of any kind, a UNet or a transformer, see `load_unet` and `load_transformer`."""
    weights = open_weights(path)
    detection = detect(weights.shapes)
    if detection.kind == "transformer":
        return _loaded(weights, detection, device, None, stored)
    return unet_in(weights, device, stored=stored)


def _loaded(
    weights: Weights,
    detection: Detection,
    device: torch.device,
    dtype: torch.dtype | None,
    stored: torch.dtype | None,
) -> Checkpoint:
    path = weights.path
    if detection.kind != "transformer" or detection.family not in TRANSFORMERS:
        raise wrong_kind(path, detection, "a transformer net (DiT, PixArt or U-ViT)")
    part = weights.part(UNET) or dict(weights)
    net = transformer_of(part, detection.family, device, path.name, dtype=dtype, storage=stored)
    return transformer_checkpoint(net, detection, device)


def transformer_checkpoint(
    net: TransformerNet,
    detection: Detection,
    device: torch.device,
    *,
    vae: Vae | None = None,
    scale_factor: float | None = None,
    names: tuple[str, ...] = (),
) -> Checkpoint:
    """A checkpoint of a net; `names` are those of its classes, ImageNet's where it has as many and none are given."""
    family = TRANSFORMERS[detection.family]
    classes = getattr(net.config, "classes", 0)
    if not names and classes == len(imagenet_names()) + 1:
        names = imagenet_names()
    return Checkpoint(
        detection,
        ModelHandle(net, device),
        family.prediction or "epsilon",
        net.config.in_channels,
        scale_factor or family.scale_factor,
        vae.downscale if vae else family.downscale,
        None,
        vae,
        family,
        names=names,
    )


def transformer_of(
    weights: Mapping[str, Tensor],
    family: str,
    device: torch.device,
    where: str,
    declared: Mapping[str, Any] | None = None,
    *,
    dtype: torch.dtype | None = None,
    storage: torch.dtype | None = None,
) -> TransformerNet:
    """The net of a family in `weights`, without prefix; `declared` is the configuration in its folder, if it has one.

    For `dtype` and `storage` see `in_types`. Raises `ArchitectureError`.
    """
    named, declared = original_names(weights) if is_diffusers(weights) else dict(weights), declared or {}
    if family == DIT and "pos_embed" not in named and "x_embedder.proj.weight" in named:
        patch = named["x_embedder.proj.weight"].shape[-1]
        named = with_places(named, int(declared.get("sample_size", SIDE)) // patch)
    with unfilled():
        net = _empty(named, family, where, declared)
    return in_types(net, named, device, where, dtype, storage=storage)


def _empty(named: Mapping[str, Tensor], family: str, where: str, declared: Mapping[str, Any]) -> TransformerNet:
    shapes = shapes_of(named)
    if family == DIT:
        return DiT(replace(dit_config(shapes, where=where), **_heads(declared)))
    if family in (ALPHA, SIGMA):
        config = pixart_config(shapes, named.get("pos_embed"), where=where)
        return PixArt(replace(config, **_heads(declared), **_span(declared, config.patch)))
    return UViT(uvit_config(shapes, where=where))


def _said(family: str) -> Detection:
    if family not in TRANSFORMERS:
        raise ArchitectureError("there is no such family", got=family, expected=", ".join(TRANSFORMERS))
    return Detection("transformer", family, ("it was said to be one",))


def _heads(declared: Mapping[str, Any]) -> dict[str, Any]:
    heads = declared.get("num_attention_heads")
    return {"heads": heads} if isinstance(heads, int) else {}


def _span(declared: Mapping[str, Any], patch: int) -> dict[str, Any]:
    """How far places reach: as many as there are tokens along a side, closer together by a scale."""
    side = declared.get("sample_size")
    if not isinstance(side, int):
        return {}
    scale = declared.get("interpolation_scale") or max(side // LARGE_SIDE, 1)
    return {"span": side // patch / scale}
