"""The published nets' tensor names and shapes."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]

KEYS = Path(__file__).parent / "data" / "keys"
UNET, VAE = "model.diffusion_model.", "first_stage_model."


@cache
def _read(name: str) -> dict[str, Shapes]:
    content = json.loads(gzip.decompress((KEYS / f"{name}.json.gz").read_bytes()))
    return {part: {key: tuple(shape) for key, shape in shapes.items()} for part, shapes in content.items()}


def manifest(name: str, part: str = "unet") -> Shapes:
    """The tensors of a part of a published net, without prefix."""
    return dict(_read(name)[part])


def checkpoint(name: str) -> Shapes:
    """The UNet and the autoencoder of a published checkpoint under their names in its file."""
    parts = _read(name)
    unet = {UNET + key: shape for key, shape in parts["unet"].items()}
    return unet | {VAE + key: shape for key, shape in parts.get("vae", {}).items()}
