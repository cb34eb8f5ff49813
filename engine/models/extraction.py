"""The difference between two nets as a LoRA: of each weight the nearest matrix of a rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.adapters.adapter import Stack
from engine.models.adapters.applying import changed_weight, steps_of


def extracted(
    net: ModelHandle[Any], stack: Stack, prefix: str, rank: int | None, *, biases: bool
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of an adapter for a net whose weights, after `stack`, are differences already; float16.

    Matrices and convolutions are cut to `rank` (None: they stay whole); what has one dimension stays whole, and comes
    with `biases` only. Weights of nothing but zeros are left out.
    """
    steps = steps_of(stack)
    with torch.inference_mode():
        for name, weight in net.weights().items():
            stem, _, leaf = name.removeprefix("text_model.").rpartition(".")
            if leaf not in ("weight", "bias") or (weight.ndim < 2 and not biases):
                continue
            difference = changed_weight(weight, steps.get(name, ())).float().cpu()
            if not difference.any():
                continue
            if weight.ndim < 2 or rank is None:
                yield f"{prefix}{stem}.{'diff' if leaf == 'weight' else 'diff_b'}", difference.half()
            else:
                up, down = nearest(difference, rank)
                yield f"{prefix}{stem}.lora_up.weight", up.half()
                yield f"{prefix}{stem}.lora_down.weight", down.half()


def nearest(difference: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The two factors `(out, r, 1...)` and `(r, in, ...)` of the nearest matrix of `rank` (Eckart and Young 1936)."""
    u, s, v = torch.linalg.svd(difference.flatten(1), full_matrices=False)
    rank = min(rank, len(s))
    root = s[:rank].sqrt()  # both factors of one size, so that neither leaves the range of half precision
    up, down = u[:, :rank] * root, root[:, None] * v[:rank]
    kernel = [1] * (difference.ndim - 2)
    return up.reshape(len(difference), rank, *kernel).contiguous(), down.reshape(
        rank, *difference.shape[1:]
    ).contiguous()
