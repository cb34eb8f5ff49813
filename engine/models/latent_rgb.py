"""The colours of latents: linear maps that turn every cell of a scaled latent into one pixel.

A scaled latent is what the net works on, the autoencoder's latent times the scale factor of its family.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.models.checkpoint import Checkpoint
from engine.models.vae import Vae
from engine.tensors.values import LatentPreview

_FIT_SEED = 0
_FIT_TILES, _FIT_CELLS = 6, 4  # tiles of one colour along a side, cells along the side of a tile
_CONTRAST = 0.2  # standard deviation of the colours that the map for unknown latents aims at


@dataclass(frozen=True, slots=True)
class LatentFamily:
    """A published kind of latents, told by its numbers; `tiny` is the name of its tiny autoencoder's files.

    `factors` has a row of three colours, which span -1..1, for each channel and one to add.
    """

    channels: int
    scale_factor: float
    downscale: int
    tiny: str
    factors: tuple[tuple[float, float, float], ...] = ()


FAMILIES = (
    # keturn, discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204, for Stable Diffusion 1.4
    LatentFamily(
        4,
        0.18215,
        8,
        "taesd",
        ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473), (0, 0, 0)),
    ),
    # T. A. Vass, huggingface.co/blog/TimothyAlexisVass/explaining-the-sdxl-latent-space, there for colours in 0..255
    LatentFamily(
        4,
        0.13025,
        8,
        "taesdxl",
        (
            (60 / 127.5, 60 / 127.5, 60 / 127.5),
            (-60 / 127.5, -5 / 127.5, 10 / 127.5),
            (25 / 127.5, 15 / 127.5, -5 / 127.5),
            (-70 / 127.5, -50 / 127.5, -35 / 127.5),
            (150 / 127.5 - 1, 140 / 127.5 - 1, 130 / 127.5 - 1),
        ),
    ),
    LatentFamily(16, 1.5305, 8, "taesd3"),
    LatentFamily(16, 0.3611, 8, "taef1"),
)


def family_of(channels: int, scale_factor: float, downscale: int) -> LatentFamily | None:
    """The published family with these numbers, None if there is none."""
    for family in FAMILIES:
        alike = math.isclose(family.scale_factor, scale_factor, rel_tol=1e-4)
        if alike and (family.channels, family.downscale) == (channels, downscale):
            return family
    return None


def latent_to_rgb(latent: LatentPreview) -> Tensor:
    """A pixel a cell, `(B, h, w, 3)` float32 in 0..1 on the CPU, of a latent `(B, C, h, w)`.

    By the latent's own map, else that of its family; where neither is known, by one that shows shapes in colours that
    mean nothing. Values that are no numbers turn black.
    """
    cells = latent.scaled.float().cpu().movedim(1, -1)
    family = family_of(cells.shape[-1], latent.scale_factor, latent.downscale)
    if latent.to_rgb is not None:
        pixels = _mapped(cells, latent.to_rgb)
    elif family is not None and family.factors:
        pixels = _mapped(cells, torch.tensor(family.factors)) / 2 + 0.5
    else:
        pixels = _neutral(cells)
    return pixels.nan_to_num(nan=0.0).clamp(0, 1)


def fit_latent_to_rgb(vae: Vae, scale_factor: float) -> Tensor | None:
    """The map `(C + 1, 3)` from scaled cells to their mean colours in 0..1 that fits `vae` best (least squares).

    A fixed patchwork of random colours is encoded once. Measured on drawn scenes with the bundled model it explains
    92 % of the colours' variance; maps fitted to decoded random latents explained 47 % (white noise) to 86 % (tiles of
    one value), the best map that there is 96 %. An encoder is the cheaper half, too. None if the autoencoder answers
    with what is no number.
    """
    side = _FIT_CELLS * vae.downscale
    generator = torch.Generator().manual_seed(_FIT_SEED)
    tiles = torch.rand(1, 3, _FIT_TILES, _FIT_TILES, generator=generator)
    pixels = F.interpolate(tiles, scale_factor=float(side), mode="nearest").movedim(1, -1)
    cells = (vae.encode(pixels) * scale_factor).movedim(1, -1).flatten(0, 2)
    colours = F.interpolate(tiles, scale_factor=float(_FIT_CELLS), mode="nearest").movedim(1, -1).flatten(0, 2)
    if not cells.isfinite().all():
        return None
    # singular values, because channels may be constant or copies of each other
    fitted: Tensor = torch.linalg.lstsq(_with_ones(cells), colours, driver="gelsd").solution
    return fitted


def fitted_map(checkpoint: Checkpoint) -> Tensor | None:
    """The map for the latents of a checkpoint with an autoencoder of its own; None where the family's map is known.

    Took 10 ms for the bundled model on one thread.
    """
    family = family_of(checkpoint.latent_channels, checkpoint.scale_factor, checkpoint.downscale)
    if checkpoint.vae is None or (family is not None and family.factors):
        return None
    return fit_latent_to_rgb(checkpoint.vae, checkpoint.scale_factor)


def _mapped(cells: Tensor, to_rgb: Tensor) -> Tensor:
    return _with_ones(cells) @ to_rgb.to(cells)


def _with_ones(cells: Tensor) -> Tensor:
    return F.pad(cells, (0, 1), value=1.0)


def _neutral(cells: Tensor) -> Tensor:
    """Cells on three orthonormal axes, the lowest of the cosine transform, evened out to a middle grey a picture."""
    channels = cells.shape[-1]
    places = (torch.arange(channels) + 0.5) * math.pi / channels
    axes = torch.stack([torch.cos(places * min(order, channels - 1)) for order in range(3)], dim=1)
    projected = cells @ (axes / axes.norm(dim=0))
    centred = projected - projected.mean(dim=(1, 2), keepdim=True)
    spread = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    evened: Tensor = 0.5 + _CONTRAST * centred / spread.clamp(min=1e-6)
    return evened
