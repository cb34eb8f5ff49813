"""Pictures filtered: morphology with a flat square, and fewer colours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional as F

MORPHOLOGY = ("erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat")
DITHERS = ("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16")


def morphed(image: Tensor, operation: str, size: int) -> Tensor:
    """`image` `(B, H, W, C)` after a morphological operation with a square of `size` pixels (Serra 1982).

    What lies beyond the edges counts for nothing.
    """
    match operation:
        case "erode":
            return _eroded(image, size)
        case "dilate":
            return _dilated(image, size)
        case "open":
            return _dilated(_eroded(image, size), size)
        case "close":
            return _eroded(_dilated(image, size), size)
        case "gradient":
            return _dilated(image, size) - _eroded(image, size)
        case "bottom_hat":
            return morphed(image, "close", size) - image
        case _:
            return image - morphed(image, "open", size)


def quantised(image: Tensor, colours: int, dither: str) -> Tensor:
    """`image` `(B, H, W, C)` with at most `colours` colours, chosen for each picture by median cut (Heckbert 1982).

    `dither` is none, error diffusion (Floyd and Steinberg 1976) or an ordered pattern (Bayer 1973). Alpha is dropped.
    """
    pictures = (image[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return torch.stack([_few_colours(picture, colours, dither) for picture in pictures]).to(image)


def bayer_matrix(order: int) -> NDArray[np.float32]:
    """The threshold matrix of `order` (a power of two), its values evenly spread about 0 between -1/2 and 1/2."""
    matrix = np.zeros((1, 1), dtype=np.float32)
    while len(matrix) < order:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return np.asarray((matrix - (order * order - 1) / 2) / (order * order), dtype=np.float32)


def _few_colours(pixels: NDArray[np.uint8], colours: int, dither: str) -> Tensor:
    picture = Pillow.fromarray(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels)
    palette = picture.quantize(colours, dither=Pillow.Dither.NONE)
    if dither == "none":
        reduced = palette
    elif dither == "floyd-steinberg":
        reduced = picture.quantize(palette=palette, dither=Pillow.Dither.FLOYDSTEINBERG)
    else:
        moved = np.asarray(picture, dtype=np.float32) + _pattern(picture, palette, int(dither.partition("-")[2]))
        shifted = Pillow.fromarray(moved.clip(0, 255).astype(np.uint8))
        reduced = shifted.quantize(palette=palette, dither=Pillow.Dither.NONE)
    return torch.from_numpy(np.array(reduced.convert("RGB"), dtype=np.float32) / 255)


def _pattern(picture: Pillow.Image, palette: Pillow.Image, order: int) -> NDArray[np.float32]:
    """What ordered dithering adds to each pixel `(H, W, 1)`: twice the mean step between colours, spread about 0."""
    used = len(palette.getpalette() or (0, 0, 0)) // 3
    matrix = bayer_matrix(order) * (2 * 256 / used) + 0.5
    tiles = (-(-picture.height // order), -(-picture.width // order))
    return np.asarray(np.tile(matrix, tiles)[: picture.height, : picture.width, None], dtype=np.float32)


def _dilated(image: Tensor, size: int) -> Tensor:
    return _largest(image, (size - 1) // 2, size // 2)


def _eroded(image: Tensor, size: int) -> Tensor:
    """By the same square: of an even one, which has no middle, dilation reaches the other way round."""
    return -_largest(-image, size // 2, (size - 1) // 2)


def _largest(image: Tensor, before: int, after: int) -> Tensor:
    """The largest value from `before` pixels before to `after` pixels after each, down and across."""
    return window_max(window_max(image, before, after, dim=1), before, after, dim=2)


def window_max(x: Tensor, before: int, after: int, dim: int) -> Tensor:
    """The largest value from `before` places before to `after` places after each along `dim`; beyond lies nothing.

    Windows of doubled length are made of two shorter ones, so the work grows with the logarithm of the length.
    """
    length = x.shape[dim]
    before, after = min(before, length), min(after, length)
    edges = [0] * (2 * (x.ndim - dim % x.ndim))
    edges[-2:] = [before, after]
    largest, reach = F.pad(x, edges, value=float("-inf")), 1
    while reach < before + 1 + after:
        step = min(reach, before + 1 + after - reach)
        size = largest.shape[dim] - step
        largest = torch.maximum(largest.narrow(dim, 0, size), largest.narrow(dim, step, size))
        reach += step
    return largest
