"""Masks: made, taken from pictures, cut, grown, feathered, combined, shown."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.node import PLAIN, Choice, Fraction, Grow, NodeContext, Range, node
from engine.tensors import masks, pictures
from engine.tensors.images import ImageError, cropped, rgb
from engine.tensors.values import Image, Mask

CATEGORY = "mask"
CHANNELS = ("red", "green", "blue", "alpha")

Offset = Annotated[int, Range(0, 16384)]
Side = Annotated[int, Range(1, 16384)]
Colour = Annotated[int, Range(0, 0xFFFFFF)]


@node("SolidMask", category=CATEGORY)
def solid_mask(value: Fraction = 1.0, width: Side = 512, height: Side = 512) -> Mask:
    """A mask of one value."""
    return Mask(torch.full((1, height, width), value))


@node("InvertMask", category=CATEGORY)
def invert_mask(mask: Mask) -> Mask:
    """Repaint what was kept, and the other way round."""
    return Mask(1.0 - mask)


@node("MaskToImage", category=CATEGORY, display_name="Convert Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """The mask as a grey picture."""
    return Image(masks.planes(mask)[..., None].repeat(1, 1, 1, 3))


@node("ImageToMask", category=CATEGORY, display_name="Convert Image to Mask")
def image_to_mask(image: Image, channel: Annotated[str, Choice(*CHANNELS)]) -> Mask:
    """One channel of a picture as a mask."""
    number = CHANNELS.index(channel)
    if number >= image.shape[-1]:
        raise ImageError(
            f"the picture has no channel {channel}",
            where="input channel",
            expected=f"one of {', '.join(CHANNELS[: image.shape[-1]])}",
            got=channel,
            hint="Only pictures with transparency have an alpha channel." if channel == "alpha" else "",
        )
    return Mask(image[..., number])


@node("ImageColorToMask", category=CATEGORY)
def colour_to_mask(image: Image, color: Colour = 0) -> Mask:
    """1 where the picture has exactly this colour (0xRRGGBB) in 8 bits."""
    wanted = (torch.tensor(rgb(color)) * 255).round()
    pixels = (image[..., :3].clamp(0, 1) * 255).round()
    return Mask((pixels == wanted.to(pixels)).all(dim=-1).float())


@node("MaskComposite", category=CATEGORY)
def composite_masks(
    destination: Mask,
    source: Mask,
    x: Offset = 0,
    y: Offset = 0,
    *,
    operation: Annotated[str, Choice(*masks.OPERATIONS)],
) -> Mask:
    """One mask worked into another at a place; `and`, `or` and `xor` first round both to 0 or 1."""
    return Mask(masks.combined(destination, source, x, y, operation))


@node("CropMask", category=CATEGORY)
def crop_mask(mask: Mask, x: Offset = 0, y: Offset = 0, width: Side = 512, height: Side = 512) -> Mask:
    """A box of it, cut where it reaches beyond the mask."""
    return Mask(cropped(masks.planes(mask), x, y, width, height))


@node("FeatherMask", category=CATEGORY)
def feather_mask(mask: Mask, left: Offset = 0, top: Offset = 0, right: Offset = 0, bottom: Offset = 0) -> Mask:
    """Fading to nothing over so many pixels at each side."""
    return Mask(masks.feathered(mask, left, top, right, bottom))


@node("GrowMask", category=CATEGORY, display_name="Grow Mask")
def grow_mask(mask: Mask, expand: Annotated[int, Range(-16384, 16384)] = 0, tapered_corners: bool = True) -> Mask:
    """Widened by so many pixels, or narrowed by a negative number of them; tapered corners are cut off slantwise."""
    return Mask(masks.grown(mask, expand, tapered=tapered_corners))


@node("ThresholdMask", category=CATEGORY)
def threshold_mask(mask: Mask, value: Fraction = 0.5) -> Mask:
    """1 where the mask is above the value, else 0."""
    return Mask((mask > value).float())


@node("BatchMasksNode", category=CATEGORY, display_name="Batch Masks")
def batch_masks(masks: Annotated[list[Mask], Grow("mask", 2, 50)]) -> Mask:
    """All in one batch, the others in the size of the first."""
    return joined_masks(masks)


@node("MaskPreview", category=CATEGORY, display_name="Preview Mask", sink=True)
def preview_mask(mask: Mask, ctx: NodeContext = PLAIN) -> None:
    """Show masks as grey pictures without keeping them."""
    images = mask_to_image(mask)
    height, width = images.shape[1:3]
    for picture in images:
        ctx.save(pictures.png(picture, ctx.metadata), "preview", ".png", "temp", (width, height))


def joined_masks(parts: list[Mask]) -> Mask:
    """Masks as one batch in the size of the first, cut about the centre to its proportions."""
    height, width = parts[0].shape[-2:]
    return Mask(torch.cat([masks.fitted(part, height, width, crop="center") for part in parts]))
