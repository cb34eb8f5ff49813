"""A whole model as an adapter: the way from any other model of its family to it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from engine.models.adapters.reading import AdapterFile, stamp
from engine.models.detect import CLIP, UNET, detect, wrong_kind
from engine.models.families import SD1
from engine.models.weights import open_weights

_LEAVES = {"weight": "target", "bias": "target_b"}


def read_model(path: Path) -> AdapterFile:
    """The UNet and the text encoder of a checkpoint as an adapter that leads to them.

    Raises `ArchitectureError` for a file of another kind, and what `open_weights` raises.
    """
    weights = open_weights(path)
    detection = detect(weights.shapes)
    if detection.kind != "checkpoint" or detection.family != SD1:
        raise wrong_kind(path, detection, f"a checkpoint of {SD1}")
    entries: dict[str, dict[str, Tensor]] = {}
    for name in weights:
        stem, _, leaf = name.rpartition(".")
        if leaf in _LEAVES and name.startswith((UNET, CLIP)):
            entries.setdefault(_named(stem), {})[_LEAVES[leaf]] = weights[name]
    return AdapterFile(path.name, entries, stamp=stamp(path))


def _named(stem: str) -> str:
    if not stem.startswith(CLIP):
        return stem
    return "text_model." + stem.removeprefix(CLIP).removeprefix("text_model.")
