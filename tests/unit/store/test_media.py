"""Which files are shown and which are only handed out."""

from __future__ import annotations

import pytest

from engine.store.media import disposition, inline_type, is_shown_picture

ACTIVE = [
    "svg", "svgz", "html", "htm", "xhtml", "xht", "shtml", "js", "mjs", "css", "xml", "xsl", "xslt", "rss",
    "atom", "pdf", "mhtml", "mht", "swf", "jar", "hta", "wasm", "ico", "json", "txt", "md", "py", "sh", "exe",
    "zip", "gz", "tiff", "tif", "psd", "eps", "ps", "jxl", "heic", "webmanifest", "vtt", "srt", "latent",
    "safetensors",
]  # fmt: skip


@pytest.mark.parametrize("suffix", ACTIVE)
def test_a_suffix_off_the_list_is_never_shown(suffix: str) -> None:
    for name in (f"x.{suffix}", f"x.{suffix.upper()}", f"x.png.{suffix}", f".{suffix}", suffix):
        assert inline_type(name) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.png", "image/png"),
        ("X.JPG", "image/jpeg"),
        ("a/b.WebP", "image/webp"),
        ("x.svg.png", "image/png"),
        ("x.avif", "image/avif"),
        ("x.mkv", "video/x-matroska"),
        ("x.opus", "audio/ogg"),
    ],
)
def test_pictures_video_and_audio_are_shown_under_their_types(name: str, expected: str) -> None:
    assert inline_type(name) == expected
    assert is_shown_picture(name) == expected.startswith("image/")


@pytest.mark.parametrize("name", ["x.png", "", "png", "x", "x.png ", "x.png.", "x.png\0.svg"])
def test_names_that_only_look_like_pictures_are_no_pictures(name: str) -> None:
    assert is_shown_picture(name) == (name == "x.png")


def test_a_plain_name_is_written_once() -> None:
    assert disposition("a b.png", inline=True) == 'inline; filename="a b.png"'
    assert disposition("x.svg", inline=False) == 'attachment; filename="x.svg"'


@pytest.mark.parametrize("name", ["ä.png", "图.png", 'a".png', "a\\b", "50%.png", "a\r\nSet-Cookie: x", "\udcff.png"])
def test_an_odd_name_cannot_break_out_of_its_header(name: str) -> None:
    value = disposition(name, inline=True)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2
    assert value.startswith('inline; filename="')
    assert "; filename*=UTF-8''" in value
