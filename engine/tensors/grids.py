"""Pictures in rows and columns with labels, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from engine.tensors.images import resized, with_channels
from engine.tensors.values import Image

INK, PAPER = "#222222", "#ffffff"
SMALLEST, LARGEST = 10, 48  # of the letters, in pixels
MARGIN = 2.2  # of a row of letters, in their size
ELLIPSIS = "..."


def grid(pictures: Image, columns: Sequence[str], rows: Sequence[str], gap: int) -> Image:
    """`pictures` `(B, H, W, C)` row by row under a label for each column, each row with its own: `(1, h, w, 3)`.

    Without labels for the rows they are as many as are needed; places that are left over stay blank.
    """
    count, height, width = pictures.shape[:3]
    across = max(1, len(columns))
    down = max(-(-count // across), len(rows))
    font = ImageFont.load_default(min(LARGEST, max(SMALLEST, min(height, width) // 12)))
    pixel = ImageDraw.Draw(Pillow.new("RGB", (1, 1)))
    head = round(MARGIN * font.size) if any(columns) else 0  # type: ignore[union-attr]  # load_default with a size
    left = round(max(pixel.textlength(text, font) for text in rows) + font.size) if any(rows) else 0  # type: ignore[union-attr]
    left = min(left, width)
    sheet = Pillow.new("RGB", (left + across * (width + gap) - gap, head + down * (height + gap) - gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, text in enumerate(columns):
        place = (left + number * (width + gap) + width / 2, head / 2)
        draw.text(place, _shortened(text, width, draw, font), INK, font, anchor="mm")
    for number, text in enumerate(rows):
        place = (left / 2, head + number * (height + gap) + height / 2)
        draw.text(place, _shortened(text, left, draw, font), INK, font, anchor="mm")
    for number, picture in enumerate(pictures):
        corner = (left + number % across * (width + gap), head + number // across * (height + gap))
        sheet.paste(_drawn(picture), corner)
    return Image(torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255)[None])


def gathered(pictures: Sequence[Image]) -> Image:
    """All in one batch of three channels, the others in the size of the first."""
    height, width = pictures[0].shape[1:3]
    return Image(torch.cat([with_channels(resized(part, width, height, "lanczos"), 3) for part in pictures]))


def _drawn(picture: torch.Tensor) -> Pillow.Image:
    return Pillow.fromarray((picture.clamp(0, 1) * 255).round().byte().cpu().numpy())


def _shortened(
    text: str, width: float, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """As much of the text as fits, on one line."""
    text = " ".join(text.split())
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + ELLIPSIS, font) > width:
        text = text[:-1]
    return text + ELLIPSIS
