"""Pictures with transparency: joined, split, and laid over each other."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.node import Choice, Range, node
from engine.tensors import masks
from engine.tensors.blending import BLEND_MODES, COMPOSITIONS, blended, composed
from engine.tensors.images import ImageError, alike, pasted, resized, with_channels
from engine.tensors.latents import repeated
from engine.tensors.values import Image, Mask

CATEGORY = "mask/compositing"

Offset = Annotated[int, Range(0, 16384)]


@node("JoinImageWithAlpha", category=CATEGORY, display_name="Join Image with Alpha")
def join_alpha(image: Image, alpha: Mask) -> Image:
    """A picture that is transparent where the mask is 1."""
    height, width = image.shape[1:3]
    opacity = 1.0 - masks.fitted(alpha, height, width)
    batch = max(len(image), len(opacity))
    colour = with_channels(repeated(image, batch), 3)
    return Image(torch.cat([colour, repeated(opacity, batch)[..., None].to(colour)], dim=-1))


@node("SplitImageWithAlpha", category=CATEGORY, display_name="Split Image with Alpha")
def split_alpha(image: Image) -> tuple[Image, Mask]:
    """The colours, and a mask that is 1 where the picture is transparent; zeros if it has no alpha channel."""
    opaque = with_channels(image, 4)
    return Image(opaque[..., :3]), Mask(1.0 - opaque[..., 3])


@node("PorterDuffImageComposite", category=CATEGORY, display_name="Porter-Duff Image Composite")
def porter_duff(
    source: Image,
    source_alpha: Mask,
    destination: Image,
    destination_alpha: Mask,
    mode: Annotated[str, Choice(*COMPOSITIONS)] = "DST",
) -> tuple[Image, Mask]:
    """One picture over another by the rules of Porter and Duff; masks are 1 where a picture is transparent.

    All is brought to the size of the destination, and to the longest batch.
    """
    height, width = destination.shape[1:3]
    if source.shape[-1] != destination.shape[-1]:
        raise ImageError(
            "these pictures have different channels",
            where="input source",
            expected=f"{destination.shape[-1]} channels as in destination",
            got=f"{source.shape[-1]}",
            hint="Take the transparency off with Split Image with Alpha.",
        )
    pictures = (resized(source, width, height, "bicubic", "center"), destination)
    fitted = (masks.fitted(mask, height, width, "bicubic", "center") for mask in (source_alpha, destination_alpha))
    alphas = [1.0 - mask.clamp(0, 1)[..., None] for mask in fitted]
    batch = max(map(len, (*pictures, *alphas)))
    (s, t), (sa, ta) = ((repeated(part, batch) for part in parts) for parts in (pictures, alphas))
    colour, alpha = composed(s, sa, t, ta, mode)
    return Image(colour), Mask(1.0 - alpha[..., 0])


@node("ImageCompositeMasked", category="image")
def composite_masked(
    destination: Image,
    source: Image,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: bool = False,
    mask: Mask | None = None,
) -> Image:
    """Paste a picture at a place where the mask, stretched over it, is 1. The destination's batch counts."""
    destination_pixels, pixels = alike(destination, source)
    if resize_source:
        pixels = resized(pixels, destination.shape[2], destination.shape[1], "bilinear")
    weight = None if mask is None else masks.fitted(mask, *pixels.shape[1:3]).to(pixels)
    return Image(pasted(destination_pixels, pixels, x, y, weight))


@node("ImageBlend", category="image/postprocessing")
def blend_images(
    image1: Image,
    image2: Image,
    blend_factor: Annotated[float, Range(0.0, 1.0, step=0.01)] = 0.5,
    *,
    blend_mode: Annotated[str, Choice(*BLEND_MODES)],
) -> Image:
    """Mix a second picture, brought to the size of the first, into it."""
    height, width = image1.shape[1:3]
    first, second = alike(image1, resized(image2, width, height, "bicubic", "center"))
    batch = max(len(first), len(second))
    return Image(blended(repeated(first, batch), repeated(second, batch), blend_factor, blend_mode))
