"""Pictures made into controls: lines, soft edges, depth, normals, colours. None of these needs a model file."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from engine.node import Fraction, Range, Seed, node
from engine.tensors import controls
from engine.tensors.images import ImageError
from engine.tensors.values import Image

CATEGORY = "image/preprocessors"
SMALLEST = 3  # pixels along a side that an edge needs to lie between two sides

Threshold = Annotated[float, Range(0.01, 0.99, step=0.01)]
Level = Annotated[int, Range(0, 255)]


@node("Canny", category=CATEGORY)
def canny(image: Image, low_threshold: Threshold = 0.4, high_threshold: Threshold = 0.8) -> Image:
    """Thin edges (Canny 1986): those above the high threshold, and what is joined to them above the low one."""
    import kornia.filters  # late: 0.4 s, and few graphs need it

    if low_threshold > high_threshold:
        raise ImageError(
            "the thresholds are the wrong way round",
            where="input low_threshold",
            expected=f"at most high_threshold, {high_threshold:g}",
            got=f"{low_threshold:g}",
        )
    planes = controls.grey(image)
    if min(planes.shape[-2:]) < SMALLEST:
        return _lines(torch.zeros_like(planes[:, 0]))
    _, edges = kornia.filters.canny(planes, low_threshold, high_threshold)
    return _lines(edges[:, 0])


@node("EaselScribble", category=CATEGORY, display_name="Scribble Lines")
def scribble(image: Image, threshold: Level = 32) -> Image:
    """Rough white lines where the picture is darker than its surroundings, as a scribble control reads them."""
    return _lines(controls.scribble(image, threshold / 255))


@node("EaselSoftEdge", category=CATEGORY, display_name="Soft Edges")
def soft_edges(image: Image) -> Image:
    """Soft edges over several scales, the strongest white, as a soft-edge control reads them."""
    return _lines(controls.soft_edges(image))


@node("EaselLineArt", category=CATEGORY, display_name="Line Art")
def line_art(image: Image, sigma: Annotated[float, Range(0.1, 100.0, step=0.1)] = 6.0, threshold: Level = 8) -> Image:
    """The dark lines of a drawing in white, as a line-art control reads them."""
    return _lines(controls.line_art(image, sigma, threshold / 255))


@node("EaselTile", category=CATEGORY, display_name="Tile Control")
def tile(image: Image, down_sampling: Annotated[int, Range(1, 64)] = 8) -> Image:
    """The picture without its details, as a tile control reads it to paint new ones."""
    return Image(controls.without_detail(image, down_sampling))


@node("EaselShuffle", category=CATEGORY, display_name="Shuffle Content")
def shuffle(image: Image, seed: Seed = 0, cell: Annotated[int, Range(8, 4096)] = 256) -> Image:
    """The picture warped until only its colours and textures are left, as a shuffle control reads it."""
    return Image(controls.shuffled(image, seed, cell))


@node("EaselColorMap", category=CATEGORY, display_name="Color Map")
def colour_map(image: Image, block: Annotated[int, Range(1, 1024)] = 64) -> Image:
    """Squares of mean colour, as a colour control reads them."""
    return Image(controls.colour_blocks(image, block))


@node("EaselDepth", category=CATEGORY, display_name="Depth Control from Depth Image")
def depth(image: Image, far_is_bright: bool = False) -> Image:
    """A depth picture of any range as a depth control reads it: near is white, far is black."""
    return _lines(controls.stretched_depth(image, far_is_bright=far_is_bright))


@node("EaselNormal", category=CATEGORY, display_name="Normal Map from Depth Image")
def normal(
    image: Image,
    strength: Annotated[float, Range(0.01, 100.0, step=0.01)] = 1.0,
    background: Fraction = 0.1,
    far_is_bright: bool = False,
) -> Image:
    """Surface normals of a depth picture as colours: red points right, green up, blue to the viewer."""
    return Image(controls.normals(controls.stretched_depth(image, far_is_bright=far_is_bright), strength, background))


def _lines(plane: Tensor) -> Image:
    return Image(plane[..., None].repeat(1, 1, 1, 3))
