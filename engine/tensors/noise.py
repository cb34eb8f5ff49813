"""Noise: drawn on the CPU from seeded generators, so that a picture does not depend on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
import torchsde
from torch import Tensor

TREE_DIGITS = 6  # decimals of sigma that a Brownian tree tells apart


class NoiseSource(Protocol):
    """Standard normal noise for a step from `sigma` to `sigma_next`, in the shape of the latents or in `shape`."""

    def __call__(self, sigma: float, sigma_next: float, shape: Sequence[int] | None = None, /) -> Tensor: ...


def initial_noise(shape: Sequence[int], seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Standard normal noise `(B, ...)` float32, drawn for the whole batch at once.

    With `batch_index`, sample i gets the noise that place `batch_index[i]` would have got, drawn one place at a time.
    """
    generator = _generator(seed)
    if batch_index is None:
        return torch.randn(tuple(shape), generator=generator)
    places = [torch.randn((1, *shape[1:]), generator=generator) for _ in range(max(batch_index) + 1)]
    return torch.cat([places[place] for place in batch_index])


class GaussianNoise:
    """Independent noise at each step. The seed is one past the job's, so that it does not repeat the initial noise."""

    def __init__(self, like: Tensor, seed: int) -> None:
        self._like = like
        self._generator = _generator(seed + 1)

    def __call__(self, _sigma: float, _sigma_next: float, shape: Sequence[int] | None = None, /) -> Tensor:
        shape = self._like.shape if shape is None else shape
        return torch.randn(tuple(shape), generator=self._generator, dtype=self._like.dtype).to(self._like.device)


class BrownianNoise:
    """Increments of one Brownian path over sigma, so that the picture hardly depends on the number of steps."""

    def __init__(self, like: Tensor, sigma_min: float, sigma_max: float, seed: int) -> None:
        self._like = like
        start = torch.zeros(like.shape, dtype=like.dtype)
        # the tree rounds its ends, and warns when it is asked beyond them by that much
        self._ends = round(sigma_min, TREE_DIGITS), round(sigma_max, TREE_DIGITS)
        self._tree = torchsde.BrownianTree(sigma_min, start, sigma_max, entropy=seed, tol=10.0**-TREE_DIGITS)

    def __call__(self, sigma: float, sigma_next: float, shape: Sequence[int] | None = None, /) -> Tensor:
        if shape is not None and tuple(shape) != tuple(self._like.shape):
            raise ValueError(f"a Brownian path has one shape, {tuple(self._like.shape)}, not {tuple(shape)}")
        low, high = min(sigma, sigma_next), max(sigma, sigma_next)
        start, end = max(low, self._ends[0]), min(high, self._ends[1])
        increment: Tensor = self._tree(start, end) / math.sqrt(high - low)
        return (increment if sigma < sigma_next else -increment).to(self._like.device)


def _generator(seed: int) -> torch.Generator:
    """A CPU generator; seeds beyond 63 bits wrap as torch's own do."""
    return torch.Generator().manual_seed(seed % 2**64 if seed < 2**63 else seed - 2**64)
