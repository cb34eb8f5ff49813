"""Textual inversions (Gal et al. 2022): learned token vectors, read from the files people share."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from engine.models.weights import PICKLES, WeightsError, open_weights


def read_embedding(path: Path) -> Tensor:
    """The vectors `(n, D)` float32 of an SD1 textual inversion: `emb_params`, `string_to_param`, or a lone tensor.

    Raises `WeightsError` for a file that holds none.
    """
    if path.suffix.lower() in PICKLES:
        content = torch.load(path, map_location="cpu", weights_only=True)
        params = content.get("string_to_param") if isinstance(content, dict) else None
        tensors = list((params or content).values()) if isinstance(content, dict) else []
    else:
        weights = open_weights(path)
        tensors = [weights["emb_params"]] if "emb_params" in weights else list(weights.values())
    vectors = [tensor for tensor in tensors if isinstance(tensor, Tensor) and tensor.ndim in (1, 2)]
    if not vectors:
        raise WeightsError("there is no embedding in this file", where=path.name, expected="emb_params or a vector")
    vector = vectors[0].detach().float()
    return vector.reshape(-1, vector.shape[-1])
