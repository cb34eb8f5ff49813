"""Latents brought together: their sizes, batches, masks and places matched to each other."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.foundation.errors import EaselError
from engine.tensors.resample import resize
from engine.tensors.values import Latent


class LatentError(EaselError):
    """Latents that do not go together, or a part of one that is not there."""

    code: ClassVar[str] = "misfit_latents"


def check_channels(samples: Tensor, like: Tensor, where: str) -> None:
    """Raise `LatentError` unless latents `(B, C, h, w)` have as many channels as those of `like`."""
    if samples.shape[1] != like.shape[1]:
        raise LatentError(
            "these latents are of two different models",
            where=where,
            expected=f"{like.shape[1]} channels",
            got=f"shape {tuple(samples.shape)}",
            hint="Encode both pictures with the VAE of the same checkpoint.",
        )


def repeated(x: Tensor, batch: int) -> Tensor:
    """`x` `(B, ...)` cut to `batch` rows, or its rows over and over until there are as many."""
    if len(x) == batch:
        return x
    return x.repeat(-(-batch // len(x)), *[1] * (x.ndim - 1))[:batch]


def sized(samples: Tensor, like: Tensor, where: str, method: str = "bilinear") -> Tensor:
    """`samples` `(B, C, h, w)` in the height and width of `like`, cut about the centre to its proportions."""
    check_channels(samples, like, where)
    if samples.shape[-2:] == like.shape[-2:]:
        return samples
    return resize(samples, like.shape[-1], like.shape[-2], method, "center")


def fitted(samples: Tensor, like: Tensor, where: str, method: str = "bilinear") -> Tensor:
    """`samples` in the size and the batch of `like` `(B, C, h, w)`."""
    return repeated(sized(samples, like, where, method), len(like))


def cell_mask(latent: Latent) -> Tensor | None:
    """The noise mask `(1 or B, h, w)` with a value for each cell, as a sampler reads it."""
    if latent.noise_mask is None:
        return None
    mask = latent.noise_mask.float().reshape(-1, 1, *latent.noise_mask.shape[-2:])
    return F.interpolate(mask, size=latent.samples.shape[-2:], mode="bilinear")[:, 0]


def row_masks(latent: Latent) -> Tensor | None:
    """The noise mask `(B, H, W)` with a row for each sample."""
    if latent.noise_mask is None:
        return None
    return repeated(latent.noise_mask.reshape(-1, *latent.noise_mask.shape[-2:]), len(latent.samples))


def places(latent: Latent) -> tuple[int, ...]:
    """The place of each sample in the batch it came from."""
    return latent.batch_index or tuple(range(len(latent.samples)))


def joined(parts: list[Latent]) -> Latent:
    """Latents of one size and model as a batch `(sum of B, C, h, w)`.

    Where only some have a noise mask the others are repainted whole. Places are kept if any part names its own.
    """
    masks = None
    if any(part.noise_mask is not None for part in parts):
        ones = [torch.ones(len(part.samples), *part.samples.shape[-2:]) for part in parts]
        own = [cell_mask(part) for part in parts]
        masks = torch.cat([one if m is None else repeated(m, len(one)) for one, m in zip(ones, own, strict=True)])
    return Latent(
        torch.cat([part.samples for part in parts]),
        noise_mask=masks,
        batch_index=tuple(place for part in parts for place in places(part)),
        empty=all(part.empty for part in parts),
        downscale=parts[0].downscale,
    )
