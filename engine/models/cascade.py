"""Stages of Imagen-style cascades from files: single ones in the original's or diffusers' names, and folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.foundation.json import parse_lenient
from engine.memory.handle import ModelHandle
from engine.models.assembly import unfilled
from engine.models.detect import ArchitectureError, detect, wrong_kind
from engine.models.folder import part_weights
from engine.models.nets.pixel_unet import PixelUNet
from engine.models.parts import in_types
from engine.models.pixel_names import is_pixel_unet, original_pixel_unet, pixel_config
from engine.models.weights import open_weights

EXPECTED = "a stage of a pixel cascade (DeepFloyd IF)"


@dataclass(frozen=True, slots=True, eq=False)
class LoadedStage:
    """The net of one stage: one that is `upscaling` makes a large picture of a small one, others start from none."""

    name: str
    net: ModelHandle[PixelUNet]
    upscaling: bool
    learned_variance: bool


def load_stage(path: Path, device: torch.device, dtype: torch.dtype | None = None) -> LoadedStage:
    """Load a stage from a file of its own.

    The net computes in `dtype`; if that is None, as the run says (see `memory.precision`). Raises `ArchitectureError`
    for a file of another kind, and what `open_weights` raises.
    """
    weights = open_weights(path)
    if not is_pixel_unet(weights):
        raise wrong_kind(path, detect(weights.shapes), EXPECTED)
    return stage_of(weights, device, path.name, dtype)


def load_stage_folder(folder: Path, device: torch.device, dtype: torch.dtype | None = None) -> LoadedStage:
    """Load the stage in a folder in diffusers' form, or of the original's `pytorch_model.bin`; see `load_stage`."""
    part = folder / "unet" if (folder / "unet").is_dir() else folder
    weights = part_weights(part)
    if not is_pixel_unet(weights):
        shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        raise wrong_kind(folder, detect(shapes), EXPECTED)
    return stage_of(weights, device, folder.name, dtype, _head_channels(part))


def stage_of(
    weights: Mapping[str, Tensor],
    device: torch.device,
    where: str,
    dtype: torch.dtype | None = None,
    head_channels: int | None = None,
) -> LoadedStage:
    """The stage of `weights`. Raises `ArchitectureError` for tensors that are missing, unknown or misfit."""
    named = original_pixel_unet(weights, head_channels)
    shapes = {name: tuple(tensor.shape) for name, tensor in named.items()}
    config = pixel_config(shapes, where=where, head_channels=head_channels)
    channels = config.in_channels // 2 if config.levels else config.in_channels
    if config.out_channels not in (channels, 2 * channels):
        raise ArchitectureError(
            "this net does not answer with pictures",
            where=where,
            expected=f"{channels} or {2 * channels} channels",
            got=str(config.out_channels),
        )
    with unfilled():
        net = PixelUNet(config)
    filled = in_types(net, named, device, where, dtype)
    return LoadedStage(where, ModelHandle(filled, device), config.levels, config.out_channels == 2 * channels)


def _head_channels(part: Path) -> int | None:
    """What a folder says of the width of heads, which shapes do not tell."""
    path = part / "config.json"
    if not path.is_file():
        return None
    content: Any = parse_lenient(path.read_bytes(), where=path.name)
    told = content.get("attention_head_dim") if isinstance(content, dict) else None
    return told if isinstance(told, int) and told > 0 else None
