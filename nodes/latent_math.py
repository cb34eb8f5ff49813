"""Latents added, subtracted, scaled and mixed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from engine.node import Fraction, Range, node
from engine.tensors.latents import fitted
from engine.tensors.values import Latent

ADVANCED = "latent/advanced"
TINY = 1e-12  # lengths below this have no direction


@node("LatentAdd", category=ADVANCED)
def add_latents(samples1: Latent, samples2: Latent) -> Latent:
    """The sum; the second is brought to the size and batch of the first."""
    return _mixed(samples1, samples2, samples1.samples + _second(samples1, samples2))


@node("LatentSubtract", category=ADVANCED)
def subtract_latents(samples1: Latent, samples2: Latent) -> Latent:
    """The first less the second."""
    return _mixed(samples1, samples2, samples1.samples - _second(samples1, samples2))


@node("LatentMultiply", category=ADVANCED)
def multiply_latent(samples: Latent, multiplier: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0) -> Latent:
    """Every value times a number."""
    return replace(samples, samples=samples.samples * multiplier)


@node("LatentInterpolate", category=ADVANCED)
def interpolate_latents(samples1: Latent, samples2: Latent, ratio: Fraction = 1.0) -> Latent:
    """Direction and length of each cell mixed apart: 1 is the first latent, 0 the second."""
    first, second = samples1.samples, _second(samples1, samples2)
    length = first.norm(dim=1, keepdim=True) * ratio + second.norm(dim=1, keepdim=True) * (1 - ratio)
    direction = _direction(_direction(first) * ratio + _direction(second) * (1 - ratio))
    return _mixed(samples1, samples2, direction * length)


@node("LatentBlend", category="_for_testing", display_name="Latent Blend")
def blend_latents(samples1: Latent, samples2: Latent, blend_factor: Fraction = 0.5) -> Latent:
    """Values mixed: 1 is the first latent, 0 the second."""
    second = _second(samples1, samples2, "bicubic")
    return _mixed(samples1, samples2, samples1.samples * blend_factor + second * (1 - blend_factor))


def _second(samples1: Latent, samples2: Latent, method: str = "bilinear") -> Tensor:
    return fitted(samples2.samples, samples1.samples, "input samples2", method)


def _mixed(samples1: Latent, samples2: Latent, result: Tensor) -> Latent:
    return replace(samples1, samples=result, empty=samples1.empty and samples2.empty)


def _direction(x: Tensor) -> Tensor:
    """Unit vectors over the channels of `(B, C, h, w)`; zero where there is none."""
    length = x.norm(dim=1, keepdim=True)
    return torch.where(length > TINY, x / length.clamp(min=TINY), torch.zeros_like(x))
