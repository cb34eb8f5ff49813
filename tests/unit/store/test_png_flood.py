"""Pictures with chunks without end, and files that only pretend to be pictures."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from engine.store.pictures import open_picture
from engine.store.png_metadata import SIGNATURE, PictureError, read_text_chunks
from engine.store.safetensors_header import FileFormatError, read_header
from tests.unit.server.serving import png, safetensors


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("kind", [b"juNk", b"tEXt", b"IDAT"])
def test_a_flood_of_chunks_is_refused(tmp_path: Path, kind: bytes) -> None:
    whole, start = png(), len(SIGNATURE) + 25
    (tmp_path / "a.png").write_bytes(whole[:start] + chunk(kind, b"a\0b" if kind == b"tEXt" else b"") * 200_000)
    for read in (open_picture, read_text_chunks):
        with pytest.raises(PictureError, match="too many chunks"):
            read(tmp_path / "a.png")


def test_lengths_that_lead_past_the_end_are_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png()[:33] + b"\xff\xff\xff\xffjuNk")
    for read in (open_picture, read_text_chunks):
        with pytest.raises(PictureError):
            read(tmp_path / "a.png")


@pytest.mark.parametrize(
    "start", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"P6 9 9 255\n", b"\x01\x00\x09\x00"]
)
def test_formats_that_other_programs_would_decode_are_no_pictures(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "a.png").write_bytes(start + bytes(1000))
    with pytest.raises(PictureError):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize("metadata", ["text", [1, 2], [["a", "b"]], 5, True])
def test_metadata_that_is_no_object_is_a_damaged_header(tmp_path: Path, metadata: object) -> None:
    (tmp_path / "a.safetensors").write_bytes(safetensors(metadata))
    with pytest.raises(FileFormatError):
        read_header(tmp_path / "a.safetensors")
