"""Textual inversions (Gal et al. 2022): learned token vectors, read from the files people share."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from engine.models.detect import detect, wrong_kind
from engine.models.weights import open_weights


def read_embedding(path: Path) -> Tensor:
    """The vectors `(n, D)` float32 of an SD1 textual inversion: `emb_params`, `string_to_param`, or a lone tensor.

    Raises `ArchitectureError` for a file of another kind, and what `open_weights` raises.
    """
    weights = open_weights(path)
    detection = detect(weights.shapes)
    if detection.kind != "embedding":
        raise wrong_kind(path, detection, "a textual inversion")
    vectors = next(iter(weights.values())).detach().float()
    return vectors.reshape(-1, vectors.shape[-1])
