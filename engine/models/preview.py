"""Small pictures of what a sampler works on, for people who watch it."""

from __future__ import annotations

import io
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image as Pillow
from torch import Tensor

from engine.memory.handle import ModelHandle
from engine.models.latent_rgb import latent_to_rgb
from engine.models.nets.tiny_autoencoder import TinyDecoder
from engine.tensors.values import LatentPreview

Method: TypeAlias = Literal["none", "auto", "latent2rgb", "taesd"]

MAX_SIDE = 512
MIN_SIDE = 64  # smaller pictures are repeated pixel by pixel up to about this


def preview_image(
    content: Tensor | LatentPreview,
    method: Method = "auto",
    decoder: ModelHandle[TinyDecoder] | None = None,
    max_side: int = MAX_SIDE,
) -> Pillow.Image | None:
    """The first of a batch of latents, or of pictures `(B, H, W, 1, 3 or 4)` in 0..1, as an RGB picture.

    Latents are decoded by `decoder` if `method` is `auto` or `taesd` and there is one, which must be of their family
    (`Decoders.fitting` finds it), and mapped colour by colour otherwise. The longer side is at most `max_side`. None
    for the method `none` and for an empty batch.
    """
    if method == "none":
        return None
    if isinstance(content, LatentPreview):
        pixels = _shown(content, decoder if method in ("auto", "taesd") else None)
    else:
        pixels = content[:1]
    if not pixels.numel():
        return None
    return _resized(_picture(pixels[0]), max_side)


def jpeg(image: Pillow.Image, quality: int = 85) -> bytes:
    """A JPEG file of `image`."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def _shown(latent: LatentPreview, decoder: ModelHandle[TinyDecoder] | None) -> Tensor:
    """Pixels `(1, H, W, 3)` in about 0..1 of the first latent; `(0, ...)` if there is none."""
    first = LatentPreview(latent.scaled[:1], latent.scale_factor, latent.downscale, latent.to_rgb)
    if decoder is None or not first.scaled.numel():
        return latent_to_rgb(first)
    with decoder.lease() as net:
        pixels: Tensor = net(first.scaled.to(decoder.device, decoder.dtype))
    return pixels.movedim(1, -1)


def _picture(pixels: Tensor) -> Pillow.Image:
    """The picture of `(H, W, 1, 3 or 4)` in 0..1; transparency is left out, grey becomes colour."""
    colours = pixels[..., :3].detach().float().cpu().nan_to_num(nan=0.0).clamp(0, 1)
    if colours.shape[-1] < 3:
        colours = colours[..., :1].expand(-1, -1, 3)
    return Pillow.fromarray((colours * 255 + 0.5).numpy().astype(np.uint8))


def _resized(image: Pillow.Image, max_side: int) -> Pillow.Image:
    side = max(image.size)
    if side > max_side:
        width, height = (max(1, round(length * max_side / side)) for length in image.size)
        return image.resize((width, height), Pillow.Resampling.BILINEAR)
    times = min(-(-MIN_SIDE // side), max_side // side)
    return image.resize((image.width * times, image.height * times), Pillow.Resampling.NEAREST)
