"""Pictures cropped, padded, turned, stitched and fitted to a size."""

from __future__ import annotations

import math
from typing import Annotated

from engine.node import Choice, Range, node
from engine.tensors import images
from engine.tensors.resample import IMAGE_METHODS
from engine.tensors.values import Image, Mask

TRANSFORM = "image/transform"
UPSCALING = "image/upscaling"
TURNS = ("none", "90 degrees", "180 degrees", "270 degrees")
MEGAPIXEL = 1024 * 1024

Offset = Annotated[int, Range(0, 16384)]
Border = Annotated[int, Range(0, 16384, step=8)]
Side = Annotated[int, Range(1, 16384)]


@node("ImageCrop", category=TRANSFORM, display_name="Image Crop")
def crop_image(image: Image, width: Side = 512, height: Side = 512, x: Offset = 0, y: Offset = 0) -> Image:
    """A box of it; a corner beyond the picture is moved to its last pixel, and what lies beyond is cut."""
    x, y = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return Image(images.cropped(image, x, y, width, height))


@node("ImageFlip", category=TRANSFORM)
def flip_image(
    image: Image, flip_method: Annotated[str, Choice("x-axis: vertically", "y-axis: horizontally")]
) -> Image:
    """Upside down, or left to right."""
    return Image(image.flip(1 if flip_method.startswith("x") else 2))


@node("ImageRotate", category=TRANSFORM)
def rotate_image(image: Image, rotation: Annotated[str, Choice(*TURNS)]) -> Image:
    """Turned clockwise."""
    return Image(image.rot90(TURNS.index(rotation), dims=(2, 1)))


@node("ImageStitch", category=TRANSFORM, display_name="Image Stitch")
def stitch_images(
    image1: Image,
    direction: Annotated[str, Choice("right", "down", "left", "up")] = "right",
    match_image_size: bool = True,
    spacing_width: Annotated[int, Range(0, 1024, step=2)] = 0,
    spacing_color: Annotated[str, Choice(*images.COLOURS)] = "white",
    image2: Image | None = None,
) -> Image:
    """A second picture beside, above or below the first, with a strip of colour between them.

    With `match_image_size` it is scaled to the side that they share, else the smaller one is centred on black.
    """
    if image2 is None:
        return image1
    second = image2
    if match_image_size:
        height, width = image2.shape[1:3]
        beside = direction in ("right", "left")
        factor = image1.shape[1] / height if beside else image1.shape[2] / width
        size = (max(1, round(width * factor)), image1.shape[1])
        if not beside:
            size = (image1.shape[2], max(1, round(height * factor)))
        second = images.resized(image2, *size, "lanczos")
    spacing = spacing_width + spacing_width % 2  # sides stay even, as video needs them
    return images.stitched(image1, second, direction, spacing=spacing, colour=images.COLOURS[spacing_color])


@node("ResizeAndPadImage", category=TRANSFORM)
def resize_and_pad(
    image: Image,
    target_width: Side = 512,
    target_height: Side = 512,
    *,
    padding_color: Annotated[str, Choice("white", "black")],
    interpolation: Annotated[str, Choice("area", "bicubic", "nearest-exact", "bilinear", "lanczos")],
) -> Image:
    """As large as fits into a size with its proportions kept, centred on one colour."""
    height, width = image.shape[1:3]
    if target_width * height <= target_height * width:
        new_width, new_height = target_width, max(1, height * target_width // width)
    else:
        new_width, new_height = max(1, width * target_height // height), target_height
    small = images.resized(image, new_width, new_height, interpolation)
    left, top = (target_width - new_width) // 2, (target_height - new_height) // 2
    right, bottom = target_width - new_width - left, target_height - new_height - top
    return images.padded(small, left, top, right, bottom, images.COLOURS[padding_color])


@node("ImagePadForOutpaint", category="image", display_name="Pad Image for Outpainting")
def pad_for_outpaint(
    image: Image,
    left: Border = 0,
    top: Border = 0,
    right: Border = 0,
    bottom: Border = 0,
    feathering: Annotated[int, Range(0, 16384)] = 40,
) -> tuple[Image, Mask]:
    """A grey border to paint on, and the mask that says so, feathered into the picture."""
    height, width = image.shape[1:3]
    grey = [0.5] * min(image.shape[-1], 3)
    mask = images.outpaint_mask(height, width, left, top, right, bottom, feathering)
    return images.padded(image, left, top, right, bottom, grey), Mask(mask)


@node("ImageScaleToTotalPixels", category=UPSCALING)
def scale_to_total_pixels(
    image: Image,
    upscale_method: Annotated[str, Choice(*IMAGE_METHODS)],
    megapixels: Annotated[float, Range(0.01, 16.0, step=0.01)] = 1.0,
    resolution_steps: Annotated[int, Range(1, 256)] = 1,
) -> Image:
    """Resize to an area in units of 1024 x 1024 pixels, sides rounded to multiples of `resolution_steps`."""
    height, width = image.shape[1:3]
    factor = math.sqrt(megapixels * MEGAPIXEL / (width * height))
    steps = [max(1, round(side * factor / resolution_steps)) for side in (width, height)]
    return images.resized(image, steps[0] * resolution_steps, steps[1] * resolution_steps, upscale_method)


@node("ImageScaleToMaxDimension", category=UPSCALING)
def scale_to_max_dimension(
    image: Image,
    upscale_method: Annotated[str, Choice("area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic")],
    largest_size: Offset = 512,
) -> Image:
    """Resize so that the longer side has a length; 0 keeps the size."""
    height, width = image.shape[1:3]
    if largest_size == 0:
        return image
    factor = largest_size / max(height, width)
    new_width, new_height = (max(1, round(side * factor)) for side in (width, height))
    return images.resized(image, new_width, new_height, upscale_method)
