"""Pictures as a browser asks for them: re-encoded small, or one channel of them, after a look at their header."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from engine.store.pictures import FORMATS, MAX_PIXELS, PNG_LEVEL, PictureTooLargeError, open_picture
from engine.store.png_metadata import SIGNATURE, PictureError

LARGE_PIXELS = 8_000_000
"""From so many pixels on a rendering takes seconds and hundreds of megabytes, so that few may run at once."""
_LONGEST_SIDE = {"WEBP": 16_383, "JPEG": 65_500}  # what the formats can hold (Pillow's JPEG stops at 65,500)
_DEFAULT_QUALITY = 90

Channel = Literal["rgba", "rgb", "a"]


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is wanted: `format` as Pillow names it, `quality` 1..100 for those that lose something."""

    format: Literal["PNG", "JPEG", "WEBP"]
    quality: int = _DEFAULT_QUALITY
    channel: Channel = "rgba"


@dataclass(frozen=True, slots=True)
class Rendering:
    """A picture file in memory."""

    data: bytes
    media_type: str


def requested_view(preview: str | None, channel: str | None) -> View | None:
    """The view that the community's parameters ask for (`preview` as `webp;90`); None for the file as it is.

    Unknown formats and channels count as the defaults, as clients know it. Alpha needs WebP, which JPEG cannot hold.
    """
    chosen: Channel = "a" if channel == "a" else "rgb" if channel == "rgb" else "rgba"
    if preview is None:
        return None if chosen == "rgba" else View("PNG", channel=chosen)
    name, _, last = preview.rpartition(";") if ";" in preview else (preview, "", "")
    quality = int(last) if last.isascii() and last.isdigit() and len(last) <= 3 else _DEFAULT_QUALITY
    is_jpeg = name.split(";")[0].lower() in ("jpeg", "jpg") and "a" not in (channel or "")
    return View("JPEG" if is_jpeg else "WEBP", min(max(quality, 1), 100), chosen)


def pixels(path: Path, max_pixels: int = MAX_PIXELS) -> int:
    """How many pixels the header of a picture tells of, 0 for a file that is no picture. Nothing is decoded.

    Raises `PictureTooLargeError` for more than `max_pixels`.
    """
    try:
        width, height = _png_size(path) or _size(path)
    except Image.DecompressionBombError as error:
        raise _too_large(path, "far more", max_pixels) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        return 0
    if width * height > max_pixels:
        raise _too_large(path, f"{width} x {height}", max_pixels)
    return width * height


def render(path: Path, view: View, max_pixels: int = MAX_PIXELS) -> Rendering:
    """The picture at `path` (of an animation: its first frame) as `view` says. Raises `PictureError`.

    A picture of more than `max_pixels` is refused by its header (`PictureTooLargeError`).
    """
    if not pixels(path, max_pixels):  # before `open_picture` reads the whole file, which may be a long video
        raise PictureError("this is no picture that can be shown", where=path.name, expected=", ".join(FORMATS))
    picture = open_picture(path, max_pixels)
    try:
        return _encoded(_channels(eight_bit(picture), view), view)
    except (OSError, ValueError) as error:
        raise PictureError("this picture cannot be shown", where=path.name, got=str(error)) from error


def eight_bit(picture: Image.Image) -> Image.Image:
    """The picture as RGB or RGBA; 16-bit grey is scaled, Pillow's own conversion would cut it off."""
    if picture.mode in ("RGB", "RGBA"):
        return picture
    if picture.mode.startswith("I"):
        grey = (np.asarray(picture, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    converted = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    converted.info.clear()  # a colour profile for grey or for CMYK says nothing of RGB
    return converted


def _png_size(path: Path) -> tuple[int, int] | None:
    """Width and height by the first 24 bytes: Pillow reads all chunks before the pixels, which may be millions."""
    with path.open("rb") as file:
        start = file.read(24)
    if len(start) < 24 or not start.startswith(SIGNATURE) or start[12:16] != b"IHDR":
        return None
    return int.from_bytes(start[16:20]), int.from_bytes(start[20:24])


def _size(path: Path) -> tuple[int, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as picture:
            return picture.size


def _too_large(path: Path, got: str, max_pixels: int) -> PictureTooLargeError:
    return PictureTooLargeError(
        "this picture is too large to show", where=path.name, expected=f"at most {max_pixels} pixels", got=got
    )


def _channels(picture: Image.Image, view: View) -> Image.Image:
    if view.channel == "a":
        alpha = picture.getchannel("A") if picture.mode == "RGBA" else Image.new("L", picture.size, 255)
        only = Image.new("RGBA", picture.size)
        only.putalpha(alpha)
        return only
    # dropped, not blended with a background: the mask editor wants the colours below the mask
    return picture.convert("RGB") if view.channel == "rgb" or view.format == "JPEG" else picture


def _encoded(picture: Image.Image, view: View) -> Rendering:
    file = io.BytesIO()
    profile = picture.info.get("icc_profile")
    picture.info = {"icc_profile": profile} if profile else {}  # no EXIF and no texts of the original
    if view.format == "PNG" or max(picture.size) > _LONGEST_SIDE[view.format]:
        picture.save(file, "PNG", compress_level=PNG_LEVEL)
        return Rendering(file.getvalue(), "image/png")
    picture.save(file, view.format, quality=view.quality)
    return Rendering(file.getvalue(), f"image/{view.format.lower()}")
