"""Transformer nets in diffusers' folders: the net, its autoencoder, and what the folder says of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from engine.models.checkpoint import Checkpoint
from engine.models.detect import Detection, detect, wrong_kind
from engine.models.folder import INDEX, part_config, part_weights
from engine.models.labels import ordered
from engine.models.parts import compute_dtype, vae_of
from engine.models.transformer_configs import shapes_of
from engine.models.transformer_families import ALPHA, SIGMA, TRANSFORMERS
from engine.models.transformers import transformer_checkpoint, transformer_of

PART = "transformer"
_PIPELINES: Mapping[str, str] = {"PixArtAlphaPipeline": ALPHA, "PixArtSigmaPipeline": SIGMA}


def has_transformer(folder: Path) -> bool:
    """Whether a folder's net is a transformer."""
    return (folder / PART).is_dir()


def load_transformer_folder(folder: Path, device: torch.device, dtype: torch.dtype | None = None) -> Checkpoint:
    """Load the net and the autoencoder of a folder.

    Raises `MissingFileError`, `ArchitectureError` for a net of an unknown family, and what `open_weights` raises.
    """
    index, declared = part_config(folder, INDEX), part_config(folder / PART)
    weights = part_weights(folder / PART)
    detection = _named(detect(shapes_of(weights)), index)
    if detection.kind != "transformer" or detection.family not in TRANSFORMERS:
        raise wrong_kind(folder, detection, "a folder with a transformer net (DiT or PixArt)")
    vae = vae_of(part_weights(folder / "vae"), device, folder.name) if (folder / "vae").is_dir() else None
    net = transformer_of(weights, detection.family, dtype or compute_dtype(device), folder.name, declared)
    scale_factor = part_config(folder / "vae").get("scaling_factor")
    names = ordered(index.get("id2label") or {})
    return transformer_checkpoint(net, detection, device, vae=vae, scale_factor=scale_factor, names=names)


def _named(detection: Detection, index: Mapping[str, Any]) -> Detection:
    """PixArt nets are not always told apart by their tensors, but folders say which they are."""
    said = _PIPELINES.get(str(index.get("_class_name")))
    if said is None or detection.family not in _PIPELINES.values():
        return detection
    return replace(detection, family=said)
