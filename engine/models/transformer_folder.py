"""Transformer nets in diffusers' folders: the net, its autoencoder, and what the folder says of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from engine.models.checkpoint import Checkpoint
from engine.models.detect import Detection, detect, wrong_kind
from engine.models.folder import INDEX, part_config, part_weights
from engine.models.labels import ordered
from engine.models.parts import vae_of
from engine.models.text.captions import CaptionEncoder, load_captions
from engine.models.transformer_configs import shapes_of
from engine.models.transformer_families import ALPHA, PROMPT_TOKENS, SIGMA, TRANSFORMERS
from engine.models.transformers import transformer_checkpoint, transformer_of

PART = "transformer"
_PIPELINES: Mapping[str, str] = {"PixArtAlphaPipeline": ALPHA, "PixArtSigmaPipeline": SIGMA}


def has_transformer(folder: Path) -> bool:
    """Whether a folder's net is a transformer."""
    return (folder / PART).is_dir()


class TransformerFolder(NamedTuple):
    """What a folder holds: the net with its autoencoder, and for PixArt the text encoder."""

    checkpoint: Checkpoint
    text_encoder: CaptionEncoder | None


def load_transformer_folder(folder: Path, device: torch.device, dtype: torch.dtype | None = None) -> TransformerFolder:
    """Load the net, the autoencoder and the text encoder of a folder.

    Raises `MissingFileError`, `ArchitectureError` for a net of an unknown family, what `open_weights` raises, and for a
    text encoder what `load_t5` raises.
    """
    index, declared = part_config(folder, INDEX), part_config(folder / PART)
    weights = part_weights(folder / PART)
    detection = _named(detect(shapes_of(weights)), index)
    if detection.kind != "transformer" or detection.family not in TRANSFORMERS:
        raise wrong_kind(folder, detection, "a folder with a transformer net (DiT or PixArt)")
    vae = vae_of(part_weights(folder / "vae"), device, folder.name) if (folder / "vae").is_dir() else None
    net = transformer_of(weights, detection.family, device, folder.name, declared, dtype=dtype)
    scale_factor = part_config(folder / "vae").get("scaling_factor")
    names = ordered(index.get("id2label") or {})
    checkpoint = transformer_checkpoint(net, detection, device, vae=vae, scale_factor=scale_factor, names=names)
    return TransformerFolder(checkpoint, _captions(folder, device, PROMPT_TOKENS.get(detection.family)))


def _captions(folder: Path, device: torch.device, length: int | None) -> CaptionEncoder | None:
    part = folder / "text_encoder"
    return load_captions(part, device, length) if length is not None and part.is_dir() else None


def _named(detection: Detection, index: Mapping[str, Any]) -> Detection:
    """PixArt nets are not always told apart by their tensors, but folders say which they are."""
    said = _PIPELINES.get(str(index.get("_class_name")))
    if said is None or detection.family not in _PIPELINES.values():
        return detection
    return replace(detection, family=said)
