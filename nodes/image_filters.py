"""Pictures blurred, sharpened, reduced to few colours, and changed by their shapes."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from engine.node import Choice, Range, node
from engine.tensors.filters import DITHERS, MORPHOLOGY, morphed, quantised
from engine.tensors.values import Image

CATEGORY = "image/postprocessing"

Radius = Annotated[int, Range(1, 31)]


@node("ImageBlur", category=CATEGORY)
def blur_image(
    image: Image, blur_radius: Radius = 1, sigma: Annotated[float, Range(0.1, 10.0, step=0.1)] = 1.0
) -> Image:
    """Gaussian blur; sigma is in units of the radius, at which the bell is cut off."""
    return Image(blurred(image, blur_radius, sigma))


@node("ImageSharpen", category=CATEGORY)
def sharpen_image(
    image: Image,
    sharpen_radius: Radius = 1,
    sigma: Annotated[float, Range(0.1, 10.0, step=0.01)] = 1.0,
    alpha: Annotated[float, Range(0.0, 5.0, step=0.01)] = 1.0,
) -> Image:
    """Unsharp mask: ten times `alpha` of the difference from the blurred picture is added."""
    return Image((image + 10 * alpha * (image - blurred(image, sharpen_radius, sigma))).clamp(0, 1))


@node("ImageQuantize", category=CATEGORY)
def quantize_image(
    image: Image, colors: Annotated[int, Range(1, 256)] = 256, *, dither: Annotated[str, Choice(*DITHERS)]
) -> Image:
    """At most so many colours, chosen for each picture, with the steps between them dithered or not."""
    return Image(quantised(image, colors, dither))


@node("Morphology", category=CATEGORY, display_name="ImageMorphology")
def morphology(
    image: Image,
    operation: Annotated[str, Choice(*MORPHOLOGY)],
    kernel_size: Annotated[int, Range(3, 999)] = 3,
) -> Image:
    """Bright shapes shrunk or grown by a square, opened, closed, or what these change."""
    return Image(morphed(image, operation, kernel_size))


def blurred(image: Tensor, radius: int, sigma: float) -> Tensor:
    """`image` `(B, H, W, C)` after a Gaussian of `sigma * radius` pixels, cut off at `radius`; edges are mirrored."""
    from kornia.filters import gaussian_blur2d  # late: 0.4 s, and few graphs need it

    border = "reflect" if radius < min(image.shape[1:3]) else "replicate"
    size, deviation = (2 * radius + 1,) * 2, (sigma * radius,) * 2
    result: Tensor = gaussian_blur2d(image.movedim(-1, 1), size, deviation, border)
    return result.movedim(1, -1)
