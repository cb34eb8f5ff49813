"""How alike two pictures are."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.tensors.values import Image

BEST_PSNR = 100.0  # decibels: what equal pictures get instead of infinity
_WINDOW, _SPREAD = 11, 1.5
_STEADY_MEAN, _STEADY_SPREAD = 0.01**2, 0.03**2


def psnr(first: Image, second: Image) -> float:
    """Peak signal to noise ratio in decibels of pictures `(B, H, W, C)` in 0..1, at most `BEST_PSNR`."""
    error = float((first.double() - second.double()).square().mean())
    return BEST_PSNR if error == 0 else min(BEST_PSNR, -10 * math.log10(error))


def ssim(first: Image, second: Image) -> float:
    """Structural similarity of pictures `(B, H, W, C)` in 0..1, at most 1 (Wang et al. 2004, equation 13).

    Means over a Gaussian window of 11 pixels (less in smaller pictures), inside the picture only.
    """
    a, b = first.movedim(-1, 1).double(), second.movedim(-1, 1).double()
    size = min(_WINDOW, *a.shape[-2:])
    places = torch.arange(size, dtype=a.dtype) - (size - 1) / 2
    bell = torch.exp(-(places**2) / (2 * _SPREAD**2))
    window = bell[:, None] * bell / bell.sum() ** 2
    channels = a.shape[1]

    def local(x: Tensor) -> Tensor:
        return F.conv2d(x, window.expand(channels, 1, size, size), groups=channels)

    mean_a, mean_b = local(a), local(b)
    spread_a, spread_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    shared = local(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + _STEADY_MEAN) / (mean_a**2 + mean_b**2 + _STEADY_MEAN)
    structure = (2 * shared + _STEADY_SPREAD) / (spread_a + spread_b + _STEADY_SPREAD)
    return float((light * structure).mean())
