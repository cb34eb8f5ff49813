"""Textual inversions (Gal et al. 2022): learned token vectors, read from the files people share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.models.detect import detect, wrong_kind
from engine.models.weights import open_weights
from engine.models.widths import family_of_words


class EmbeddingError(EaselError):
    """A textual inversion that does not exist or does not fit."""

    code: ClassVar[str] = "bad_embedding"


def read_embedding(path: Path) -> tuple[Tensor, ...]:
    """The vectors `(n, D)` float32 of a textual inversion, for each text encoder that it is for.

    SD1 and SD2 files have one tensor: `emb_params`, `string_to_param`, or one with the token for a name. SDXL files
    have `clip_l` and `clip_g`, or `text_encoders_0` and `text_encoders_1`. Raises `EmbeddingError` for numbers that are
    none, `ArchitectureError` for a file of another kind, and what `open_weights` raises.
    """
    weights = open_weights(path)
    detection = detect(weights.shapes)
    if detection.kind != "embedding":
        raise wrong_kind(path, detection, "a textual inversion")
    found = []
    for name, tensor in weights.items():
        vectors = tensor.detach().float()
        if not bool(torch.isfinite(vectors).all()):
            raise EmbeddingError(
                "there are numbers in this embedding that are none",
                where=f"{path.name}, {name}",
                got="NaN or infinity",
                hint="Its training went wrong, or the file is damaged.",
            )
        found.append(vectors.reshape(-1, vectors.shape[-1]))
    return tuple(found)


def vectors_for(name: str, found: Iterable[Tensor] | None, width: int) -> Tensor:
    """Those vectors `(n, width)` that are for an encoder of this width. Raises `EmbeddingError`."""
    if found is None:
        raise EmbeddingError(
            "there is no such embedding",
            where=f"embedding:{name}",
            hint="Put its file into models/embeddings, or take it out of the prompt.",
        )
    parts = tuple(found)
    fitting = next((vectors for vectors in parts if vectors.ndim == 2 and vectors.shape[1] == width), None)
    if fitting is None:
        family = family_of_words(vectors.shape[-1] for vectors in parts)
        raise EmbeddingError(
            "this embedding is for another text encoder",
            where=f"embedding:{name}",
            expected=f"vectors of width {width}",
            got=" and ".join(f"shape {tuple(vectors.shape)}" for vectors in parts) or "none",
            hint=f"It is for {family}." if family else "",
        )
    return fitting
