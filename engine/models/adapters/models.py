"""A whole model as an adapter: the way from any other model of its family to it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from engine.models.adapters.reading import AdapterFile, stamp
from engine.models.detect import UNET, detect, wrong_kind
from engine.models.families import FAMILIES
from engine.models.parts import towers_of
from engine.models.weights import open_weights

_LEAVES = {"weight": "target", "bias": "target_b"}
_TOWERS = ("text_encoder.text_model.", "text_encoder_2.text_model.")


def read_model(path: Path) -> AdapterFile:
    """The UNet and the text towers of a checkpoint as an adapter that leads to them.

    Raises `ArchitectureError` for a file of another kind, and what `open_weights` raises.
    """
    weights = open_weights(path)
    detection = detect(weights.shapes)
    if detection.kind != "checkpoint" or detection.family not in FAMILIES or not FAMILIES[detection.family].supported:
        raise wrong_kind(path, detection, "a checkpoint of a Stable Diffusion family")
    named = {UNET + name: tensor for name, tensor in weights.part(UNET).items()}
    for prefix, (tower, _) in zip(_TOWERS, towers_of(weights), strict=False):
        named |= {prefix + name.removeprefix("text_model."): tensor for name, tensor in tower.items()}
    entries: dict[str, dict[str, Tensor]] = {}
    for name, tensor in named.items():
        stem, _, leaf = name.rpartition(".")
        if leaf in _LEAVES:
            entries.setdefault(stem, {})[_LEAVES[leaf]] = tensor
    return AdapterFile(path.name, entries, stamp=stamp(path))
