"""A watermark that nobody sees and that survives being saved, if not at low quality: bits in a picture's colours.

Each square of 8 x 8 pixels carries one bit: of its blue-difference, the Haar transform's low band, and of that the
cosine transform, one coefficient is moved to where its rest by a step tells the bit (quantisation index modulation,
Chen and Wornell 2001; the transforms are those of Stable Diffusion's published watermark). Bits repeat over the whole
picture, and the majority counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.foundation.bounds import within
from engine.tensors.images import ImageError
from engine.tensors.values import Image

SQUARE = 8  # pixels along a side that carry a bit: four values of the low band
PLACE = (1, 1)  # of the coefficient: slow enough to survive, too fast to be seen
STRENGTH = 24.0  # the step, in 255ths
_BLUE = np.array([-0.168736, -0.331264, 0.5])  # the blue difference of red, green and blue (ITU-R BT.601)
_TO_RGB = np.array([0.0, -0.344136, 1.772])  # what a change of it alone changes

Floats = NDArray[np.float64]


def marked(image: Tensor, bits: Sequence[int], strength: float = STRENGTH) -> Image:
    """Pictures `(B, H, W, C)` in 0..1 that carry `bits`; the rest of the last squares is left alone.

    A larger `strength`, 1 to 255, survives more and shows more. Raises `ImageError` for pictures with fewer squares
    than bits.
    """
    within("strength", strength, 1.0, 255.0)
    result = image.clone()
    for number, picture in enumerate(image):
        pixels = _colours(picture)
        coefficients = _coefficients(pixels)
        _check(coefficients, len(bits))
        wanted = np.resize(np.asarray(bits, dtype=np.float64), coefficients.shape)
        target = (np.floor(coefficients / strength) + 0.25 + 0.5 * wanted) * strength
        change = np.einsum("hw,ij->hiwj", target - coefficients, _wave()).reshape(pixels.shape[:2])
        colours = (pixels + change[..., None] * _TO_RGB) / 255
        height, width = change.shape
        result[number, :height, :width, :3] = torch.from_numpy(colours).to(image).clamp(0, 1)
    return Image(result)


def read(image: Tensor, count: int, strength: float = STRENGTH) -> list[int]:
    """The `count` bits in one picture `(1, H, W, C)`, marked with this `strength`. Raises `ImageError` as `marked`."""
    coefficients = _coefficients(_colours(image[0]))
    _check(coefficients, count)
    rests = np.mod(coefficients / strength, 1.0).flatten()
    votes = np.cos((rests - 0.75) * 2 * np.pi)  # 1 where the rest is that of a set bit, -1 where of a clear one
    totals = np.bincount(np.arange(len(votes)) % count, weights=votes, minlength=count)
    return [int(total > 0) for total in totals]


def bits_of(text: str) -> list[int]:
    """The bits of a text, eight a byte of UTF-8, the highest first."""
    return [byte >> shift & 1 for byte in text.encode("utf-8") for shift in range(7, -1, -1)]


def text_of(bits: Sequence[int]) -> str:
    """The inverse of `bits_of`; bytes that are no UTF-8 become question marks."""
    places = range(0, len(bits) - 7, 8)
    values = bytes(sum(bit << (7 - shift) for shift, bit in enumerate(bits[start : start + 8])) for start in places)
    return values.decode("utf-8", errors="replace")


def _colours(picture: Tensor) -> Floats:
    """Red, green and blue in 0..255 of the whole squares of a picture `(H, W, C)`."""
    height, width = (side // SQUARE * SQUARE for side in picture.shape[:2])
    pixels: Floats = picture[:height, :width, :3].double().cpu().numpy() * 255
    return pixels


def _coefficients(pixels: Floats) -> Floats:
    """The coefficient of each square that carries a bit."""
    height, width = (side // SQUARE for side in pixels.shape[:2])
    squares = (pixels @ _BLUE).reshape(height, SQUARE, width, SQUARE)
    result: Floats = np.einsum("hiwj,ij->hw", squares, _wave())
    return result


def _wave() -> Floats:
    """What the coefficient is made of `(8, 8)`, of length 1: a cosine over pairs of pixels along both sides."""
    places = (np.arange(SQUARE // 2) + 0.5) * np.pi / (SQUARE // 2)
    down, across = (np.repeat(np.cos(place * places), 2) for place in PLACE)
    wave = np.outer(down, across)
    result: Floats = wave / np.linalg.norm(wave)
    return result


def _check(coefficients: Floats, count: int) -> None:
    within("bits", count, 1)
    if coefficients.size < count:
        raise ImageError(
            "this picture is too small for its watermark",
            expected=f"at least {count} squares of {SQUARE} x {SQUARE} pixels",
            got=str(coefficients.size),
            hint="Use a shorter text or a larger picture.",
        )
