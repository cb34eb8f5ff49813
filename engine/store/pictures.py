"""Pictures in files: opened with the header checked first, written as PNG with text chunks."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from engine.store.png_metadata import PictureError, refuse_bomb

MAX_PIXELS = 100_000_000
PNG_LEVEL = 4
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF", "TIFF")
"""A header in any other format is not even looked at: Pillow would run another program for some of them."""


class PictureTooLargeError(PictureError):
    """A picture of more pixels than are decoded."""

    code: ClassVar[str] = "picture_too_large"


def open_picture(path: Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture, decoded; a still one is turned as its EXIF data says. Raises `PictureError`.

    A picture of more than `max_pixels` is refused by its header (`PictureTooLargeError`), before it is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            refuse_bomb(path)
            # from memory: Pillow leaves the file open where decoding fails or frames are still to come
            picture: Image.Image = Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS)
        if picture.width * picture.height > max_pixels:
            raise _too_large(path, f"{picture.width} x {picture.height}", max_pixels)
        picture.load()
        if getattr(picture, "is_animated", False):
            return picture  # turning would leave the first frame only
        return ImageOps.exif_transpose(picture)
    except Image.DecompressionBombError as error:
        raise _too_large(path, "far more", max_pixels) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise PictureError("this picture cannot be read", where=path.name, got=str(error).splitlines()[0]) from error


def encode_png(pixels: NDArray[np.uint8], texts: Mapping[str, str]) -> bytes:
    """A PNG file of `pixels` `(H, W, 3 or 4)` with one text chunk for each of `texts`."""
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info, compress_level=PNG_LEVEL)
    return file.getvalue()


def _too_large(path: Path, got: str, max_pixels: int) -> PictureError:
    expected = f"at most {max_pixels} pixels"
    return PictureTooLargeError("this picture is too large", where=path.name, expected=expected, got=got)
