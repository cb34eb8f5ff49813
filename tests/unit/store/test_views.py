"""Pictures re-encoded for a browser."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.store.pictures import PictureTooLargeError
from engine.store.png_metadata import PictureError
from engine.store.views import Rendering, View, pixels, render, requested_view
from tests.unit.server.serving import huge_png, png


def opened(rendering: Rendering) -> Image.Image:
    return Image.open(io.BytesIO(rendering.data))


@pytest.mark.parametrize(
    ("preview", "channel", "expected"),
    [
        (None, None, None),
        (None, "rgba", None),
        (None, "other", None),
        (None, "rgb", View("PNG", channel="rgb")),
        (None, "a", View("PNG", channel="a")),
        ("webp;90", None, View("WEBP", 90)),
        ("jpeg;75", None, View("JPEG", 75)),
        ("jpeg", None, View("JPEG", 90)),
        ("jpeg;high", None, View("JPEG", 90)),
        ("jpeg;75", "rgb", View("JPEG", 75, "rgb")),
        ("jpeg;75", "a", View("WEBP", 75, "a")),
        ("jpeg;75", "rgba", View("WEBP", 75)),
        ("svg;50", None, View("WEBP", 50)),
        ("", None, View("WEBP", 90)),
        ("webp;0", None, View("WEBP", 1)),
        ("webp;999", None, View("WEBP", 100)),
        ("webp;99999999999", None, View("WEBP", 90)),
        ("webp;²", None, View("WEBP", 90)),
    ],
)
def test_parameters_mean_what_clients_know(preview: str | None, channel: str | None, expected: View | None) -> None:
    assert requested_view(preview, channel) == expected


def test_channels_are_taken_apart_without_blending(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(colour=(200, 100, 50, 7)))
    assert opened(render(path, View("PNG", channel="rgb"))).getpixel((0, 0)) == (200, 100, 50)
    assert opened(render(path, View("PNG", channel="a"))).getpixel((0, 0)) == (0, 0, 0, 7)
    path.write_bytes(png())
    assert opened(render(path, View("PNG", channel="a"))).getpixel((0, 0)) == (0, 0, 0, 255)


def test_a_preview_keeps_alpha_in_webp_and_drops_it_in_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(colour=(200, 100, 50, 7)))
    webp, jpeg = render(path, View("WEBP")), render(path, View("JPEG"))
    assert (webp.media_type, opened(webp).mode) == ("image/webp", "RGBA")
    assert (jpeg.media_type, opened(jpeg).mode) == ("image/jpeg", "RGB")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr", "I;16", "RGB", "RGBA", "F"])
@pytest.mark.parametrize("view", [View("PNG", channel="a"), View("PNG", channel="rgb"), View("WEBP"), View("JPEG")])
def test_every_mode_gives_a_picture_or_a_typed_error(tmp_path: Path, mode: str, view: View) -> None:
    path = tmp_path / "x"
    suffix = "JPEG" if mode == "CMYK" else "TIFF"
    Image.new(mode, (5, 3)).save(path, suffix)
    try:
        assert opened(render(path, view)).size == (5, 3)
    except PictureError:
        assert mode == "F"


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.full((4, 4), 32_768, np.uint16)).save(path)
    assert opened(render(path, View("PNG", channel="rgb"))).getpixel((0, 0)) == (128, 128, 128)


def test_a_side_too_long_for_webp_gives_a_png(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(size=(17_000, 1)))
    assert render(path, View("WEBP")).media_type == "image/png"


def test_texts_and_exif_of_the_original_stay_behind(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    Image.new("RGB", (4, 4)).save(path, exif=exif, comment=b"a secret place")
    for view in (View("WEBP"), View("JPEG"), View("PNG", channel="rgb")):
        assert b"secret" not in render(path, view).data


def test_a_huge_picture_is_refused_by_its_header_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(huge_png())
    begin = time.process_time()
    with pytest.raises(PictureTooLargeError, match="too large to show"):
        pixels(path)
    with pytest.raises(PictureTooLargeError):
        render(path, View("WEBP"))
    assert time.process_time() - begin < 0.2


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_the_header_of_every_format_is_looked_at(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    Image.new("RGB", (40, 30)).save(path, kind)
    pixels(path, max_pixels=1200)
    with pytest.raises(PictureTooLargeError):
        pixels(path, max_pixels=1199)


def test_millions_of_chunks_before_the_pixels_cost_nothing_to_look_past(tmp_path: Path) -> None:
    path, data = tmp_path / "x.png", huge_png()
    path.write_bytes(data[:33] + b"\0\0\0\0abCd\0\0\0\0" * 200_000 + data[33:])
    begin = time.process_time()
    with pytest.raises(PictureTooLargeError):
        pixels(path)
    assert time.process_time() - begin < 0.1


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe", b"<svg/>", b"GIF89a", bytes(5000)])
def test_what_is_no_picture_passes_the_header_check_and_is_not_rendered(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    pixels(path)
    with pytest.raises(PictureError):
        render(path, View("WEBP"))
