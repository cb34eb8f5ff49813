"""Filters of latents as values, so that they can be applied once or handed on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.diffusion.denoiser import Denoiser
from engine.diffusion.rules import FilteredStep
from engine.node import Range, node
from engine.tensors.values import Latent

OPERATIONS = "latent/advanced/operations"
SHARPENING = 10.0  # `alpha` counts tenths
BRIGHT = 5.0  # standard deviations above the mean at which the tone map bends


@dataclass(frozen=True, slots=True)
class LatentOperation:
    """A filter from latents `(B, C, h, w)` to latents of that shape."""

    socket: ClassVar[str] = "LATENT_OPERATION"

    apply: Callable[[Tensor], Tensor]


@node("LatentApplyOperation", category=OPERATIONS)
def apply_operation(samples: Latent, operation: LatentOperation) -> Latent:
    """Filter a latent."""
    return replace(samples, samples=operation.apply(samples.samples))


@node("LatentApplyOperationCFG", category=OPERATIONS)
def apply_operation_to_guidance(model: Denoiser, operation: LatentOperation) -> Denoiser:
    """Filter the step that guidance makes from the negative to the positive, in every evaluation."""
    return model.with_rule(FilteredStep(operation.apply))


@node("LatentOperationTonemapReinhard", category=OPERATIONS)
def tone_map(multiplier: Annotated[float, Range(0.0, 100.0, step=0.01)] = 1.0) -> LatentOperation:
    """Tame the cells whose vector is far longer than the others' (Reinhard et al. 2002, equation 3)."""
    return LatentOperation(partial(reinhard, multiplier=multiplier))


@node("LatentOperationSharpen", category=OPERATIONS)
def sharpen_operation(
    sharpen_radius: Annotated[int, Range(1, 31)] = 9,
    sigma: Annotated[float, Range(0.1, 10.0, step=0.1)] = 1.0,
    alpha: Annotated[float, Range(0.0, 5.0, step=0.01)] = 0.1,
) -> LatentOperation:
    """Unsharp masking of the directions of the cells; `sigma` is the blur's width in radii."""
    return LatentOperation(partial(sharpened, radius=sharpen_radius, sigma=sigma, alpha=alpha))


def reinhard(samples: Tensor, multiplier: float) -> Tensor:
    """Lengths L of `(B, C, h, w)` mapped to L / (1 + L / top), top a multiple of mean + 5 standard deviations."""
    length = samples.norm(dim=1, keepdim=True)
    everything = (1, 2, 3)
    mean, spread = length.mean(dim=everything, keepdim=True), length.std(dim=everything, keepdim=True, correction=0)
    top = (mean + BRIGHT * spread) * multiplier
    mapped: Tensor = samples * (top / (top + length).clamp(min=1e-10))
    return mapped


def sharpened(samples: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """`samples` plus 10 * `alpha` times what a Gaussian blur takes from their directions; lengths weigh it.

    The border is mirrored, which reaches no further than the picture: a larger `radius` is cut to that.
    """
    radius = max(0, min(radius, samples.shape[-1] - 1, samples.shape[-2] - 1))
    length = samples.norm(dim=1, keepdim=True) + 1e-6
    directions = samples / length
    line = torch.linspace(-1, 1, 2 * radius + 1) if radius else torch.zeros(1)
    bell = torch.exp(-(line**2) / (2 * sigma * sigma))
    bell = (bell / bell.sum()).to(samples)
    padded = F.pad(directions, (radius,) * 4, mode="reflect")
    channels = samples.shape[1]
    across = F.conv2d(padded, bell.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    blurred = F.conv2d(across, bell.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    amount = SHARPENING * alpha
    return samples if math.isclose(amount, 0) else (directions + amount * (directions - blurred)) * length
