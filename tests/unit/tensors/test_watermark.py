"""Watermarks are read again after what files do to pictures, and are not seen."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image as Pictures

from engine.foundation.bounds import BoundsError
from engine.tensors.images import ImageError
from engine.tensors.values import Image
from engine.tensors.watermark import bits_of, marked, read, text_of

TEXT = "StableDiffusionV1"


def picture(height: int = 256, width: int = 256, channels: int = 3) -> Image:
    """Soft shapes, as pictures have them, with a plain white corner."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(2, channels, 8, 8, generator=generator)
    image = torch.nn.functional.interpolate(small, size=(height, width), mode="bicubic").clamp(0, 1).movedim(1, -1)
    image[:, : height // 4, : width // 4] = 1.0
    return Image(image)


def through_file(image: Image, kind: str, **options: int) -> Image:
    pixels = (image[0].numpy() * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Pictures.fromarray(pixels).save(buffer, kind, **options)
    return Image(torch.from_numpy(np.array(Pictures.open(buffer)).astype(np.float32) / 255)[None])


def hidden(image: Image, count: int = 8 * len(TEXT)) -> str:
    return text_of(read(image, count))


@pytest.mark.parametrize("text", [TEXT, "Easel", "ü"])
def test_bits_are_those_of_the_text(text: str) -> None:
    assert text_of(bits_of(text)) == text
    assert bits_of("A") == [0, 1, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(("height", "width"), [(256, 256), (250, 331), (128, 128)])
def test_a_watermark_is_read_again(height: int, width: int) -> None:
    assert hidden(marked(picture(height, width), bits_of(TEXT))) == TEXT


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": 1}), ("JPEG", {"quality": 98, "subsampling": 0})]
)
def test_a_watermark_survives_being_saved(kind: str, options: dict[str, int]) -> None:
    assert hidden(through_file(marked(picture(), bits_of(TEXT)), kind, **options)) == TEXT


def test_without_a_watermark_none_is_read() -> None:
    assert hidden(picture()) != TEXT


def test_a_watermark_is_not_seen() -> None:
    image = picture()
    change = (marked(image, bits_of(TEXT)) - image).abs()
    assert float(change.max()) < 16 / 255
    assert float(change.mean()) < 2 / 255
    assert change[..., 0].abs().max() == 0  # red has no part in it


def test_what_is_left_over_at_the_edges_and_the_alpha_stay() -> None:
    image = picture(68, 70, 4)
    result = marked(image, bits_of("Hi"))
    assert torch.equal(result[:, 64:], image[:, 64:])
    assert torch.equal(result[:, :, 64:], image[:, :, 64:])
    assert torch.equal(result[..., 3], image[..., 3])


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(ImageError, match="expected at least 136 squares of 8 x 8 pixels, got 16"):
        marked(picture(32, 32), bits_of(TEXT))
    with pytest.raises(BoundsError, match="input strength"):
        marked(picture(32, 32), [1], 0.5)
