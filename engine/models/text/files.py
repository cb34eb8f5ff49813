"""Text encoders from files of their own: one tower, or the two of SDXL, in either layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from engine.models.detect import ArchitectureError, Shapes, detect, wrong_kind
from engine.models.parts import TowerSource, text_encoder_of
from engine.models.text.encoder import Embeddings, TextEncoder
from engine.models.text.open_clip import is_text_tower, text_tower
from engine.models.text.tower import CLIP_H, CLIP_L, SDXL_G, SDXL_L, Recipe
from engine.models.weights import open_weights

H_WIDTH, G_WIDTH = 1024, 1280
SHORTENED = 23  # layers of SD2's tower where the last one, which is not used, was left out
_PREFIXES = ("", "text_model.", "cond_stage_model.transformer.", "conditioner.embedders.0.transformer.")
_OPEN_CLIP = (
    "",
    "model.",
    "cond_stage_model.model.",
    "conditioner.embedders.1.model.",
    "conditioner.embedders.0.model.",
)
_TABLE = "embeddings.token_embedding.weight"


def load_text_encoder(
    paths: Sequence[Path], device: torch.device, embeddings: Embeddings, family: str = "stable_diffusion"
) -> TextEncoder:
    """The encoder of one file (SD 1 and 2, SDXL's refiner) or of two, in any order (SDXL).

    `family` is `stable_diffusion` or `sdxl`. Raises `ArchitectureError` for files of another kind and for families
    that are not known, and what `open_weights` raises.
    """
    if family not in ("stable_diffusion", "sdxl"):
        raise ArchitectureError(
            "text encoders of this family are not supported",
            where="input type",
            got=family,
            expected="stable_diffusion or sdxl",
        )
    towers = [_tower(path) for path in paths]
    if len(towers) == 1:
        sources = [(weights, recipe_of(_shapes(weights))) for weights in towers]
    else:
        narrow, wide = sorted(towers, key=lambda weights: weights[_TABLE].shape[1])
        sources = [(narrow, SDXL_L), (wide, SDXL_G)]
        if narrow[_TABLE].shape == wide[_TABLE].shape:
            raise ArchitectureError(
                "these are two text encoders of the same kind",
                where=" and ".join(path.name for path in paths),
                expected="CLIP-L and OpenCLIP bigG",
                got=f"two of width {narrow[_TABLE].shape[1]}",
            )
    encoder = text_encoder_of(_read(sources), device, embeddings, paths[0].name)
    assert encoder is not None
    return encoder


def recipe_of(shapes: Shapes) -> Recipe:
    """How a tower is read that is used alone, by its width: bigG is the refiner's, ViT-H SD2's, all others SD1's."""
    width = shapes[_TABLE][1]
    if width >= G_WIDTH:
        return SDXL_G
    if width < H_WIDTH:
        return CLIP_L
    layers = sum(name.endswith(".layer_norm1.weight") for name in shapes)
    return replace(CLIP_H, last_layer=-1) if layers == SHORTENED else CLIP_H


def _tower(path: Path) -> Mapping[str, Tensor]:
    """A tower's tensors in transformers' names without `text_model.`."""
    weights = open_weights(path)
    for prefix in _OPEN_CLIP:
        part = weights.part(prefix)
        if is_text_tower(part):
            return text_tower(part)
    for prefix in _PREFIXES:
        part = {name.removeprefix("text_model."): tensor for name, tensor in weights.part(prefix).items()}
        if _TABLE in part:
            return part | ({} if "text_projection.weight" not in weights else
                           {"text_projection.weight": weights["text_projection.weight"]})  # fmt: skip
    raise wrong_kind(path, detect(weights.shapes), "a CLIP text encoder")


def _read(sources: Sequence[TowerSource]) -> list[TowerSource]:
    """Without what is not the text tower's, in files of a whole CLIP."""
    ours = ("embeddings.", "encoder.", "final_layer_norm.", "text_projection.")
    return [({name: t for name, t in weights.items() if name.startswith(ours)}, recipe) for weights, recipe in sources]


def _shapes(weights: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}
