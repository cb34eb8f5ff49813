"""Changing the size of images, latents and masks."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional as F

LATENT_METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "bislerp")
IMAGE_METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")


def resize(x: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """`x` `(B, C, h, w)` at `width` x `height`. `crop="center"` first cuts it to the new aspect ratio."""
    if crop == "center":
        x = _cut_to_aspect(x, width / height)
    if method == "bislerp":
        return _bislerp(x, width, height)
    if method == "lanczos":
        return _lanczos(x, width, height)
    return F.interpolate(x, size=(height, width), mode=method)


def _cut_to_aspect(x: Tensor, aspect: float) -> Tensor:
    height, width = x.shape[-2:]
    if width / height > aspect:
        margin = round((width - width * (aspect * height / width)) / 2)
        return x[..., margin : width - margin]
    margin = round((height - height * (width / height / aspect)) / 2)
    return x[..., margin : height - margin, :]


def _lanczos(x: Tensor, width: int, height: int) -> Tensor:
    """Lanczos resampling through Pillow, each channel of values in 0..1 in 32-bit floats."""
    planes = []
    for plane in x.detach().float().cpu().flatten(0, 1):
        picture = Pillow.fromarray(plane.numpy()).resize((width, height), Pillow.Resampling.LANCZOS)
        planes.append(torch.from_numpy(np.array(picture)))
    return torch.stack(planes).reshape(*x.shape[:2], height, width).clamp(0, 1).to(x)


def _bislerp(x: Tensor, width: int, height: int) -> Tensor:
    """Bilinear in direction and length: vectors over the channels are interpolated on the sphere, lengths linearly."""
    x = _slerp_along(x, width, dim=3)
    return _slerp_along(x, height, dim=2)


def _slerp_along(x: Tensor, size: int, dim: int) -> Tensor:
    old = x.shape[dim]
    places = ((torch.arange(size, device=x.device) + 0.5) * old / size - 0.5).clamp(0, old - 1)
    low = places.floor().long()
    high = (low + 1).clamp(max=old - 1)
    share = (places - low).to(x.dtype).reshape([size if axis == dim else 1 for axis in range(4)])
    return _slerp(x.index_select(dim, low), x.index_select(dim, high), share)


def _slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Between vectors `a` and `b` over dimension 1 (Shoemake 1985); nearly parallel ones are mixed linearly."""
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    cosine = (a * b).sum(dim=1, keepdim=True) / (length_a * length_b).clamp(min=1e-12)
    angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    weight_a, weight_b = torch.sin((1 - share) * angle) / angle.sin(), torch.sin(share * angle) / angle.sin()
    direction = a / length_a.clamp(min=1e-12) * weight_a + b / length_b.clamp(min=1e-12) * weight_b
    mixed = direction * (length_a * (1 - share) + length_b * share)
    return torch.where(cosine.abs() > 1 - 1e-5, a * (1 - share) + b * share, mixed)
