"""Headers of weight files and pictures: read, checked, and never a crash on damage."""

from __future__ import annotations

import random
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.foundation.errors import EaselError
from engine.store.pictures import encode_png, open_picture
from engine.store.png_metadata import PictureError, png_size, read_text_chunks
from engine.store.safetensors_header import FileFormatError, TruncatedFileError, read_header

PIXELS = np.zeros((4, 6, 3), dtype=np.uint8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(2, 3), "b": torch.ones(5, dtype=torch.float16)}, path, {"title": "x"})
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_header_tells_names_shapes_types_and_metadata(weights: Path) -> None:
    header = read_header(weights)
    assert {name: (info.dtype, info.shape) for name, info in header.tensors.items()} == {
        "a": ("F32", (2, 3)),
        "b": ("F16", (5,)),
    }
    assert header.metadata == {"title": "x"}


def test_a_file_cut_anywhere_is_told_as_cut(weights: Path) -> None:
    data = weights.read_bytes()
    for end in range(len(data)):
        weights.write_bytes(data[:end])
        with pytest.raises(TruncatedFileError):
            read_header(weights)


def test_two_thousand_damaged_headers_give_typed_errors_only(weights: Path) -> None:
    data = bytearray(weights.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    rng = random.Random(0)
    refused = 0
    for _ in range(2000):
        mutant = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            mutant[rng.randrange(8 + length)] = rng.randrange(256)
        weights.write_bytes(mutant)
        try:
            read_header(weights)
        except FileFormatError:
            refused += 1
    assert refused > 1000


def test_text_chunks_of_every_kind_are_read(tmp_path: Path) -> None:
    png = encode_png(PIXELS, {"prompt": '{"é": 1}', "workflow": "{}"})
    extra = chunk(b"zTXt", b"z\0\0" + zlib.compress(b"packed")) + chunk(
        b"iTXt", b"i\0\1\0en\0\0" + zlib.compress("ünïcode".encode())
    )
    path = tmp_path / "p.png"
    path.write_bytes(png[:-12] + extra + png[-12:])
    assert read_text_chunks(path) == {"prompt": '{"é": 1}', "workflow": "{}", "z": "packed", "i": "ünïcode"}
    assert png_size(path) == (6, 4)


def test_a_text_bomb_is_refused(tmp_path: Path) -> None:
    png = encode_png(PIXELS, {})
    bomb = chunk(b"zTXt", b"z\0\0" + zlib.compress(b"x" * 50_000_000))
    path = tmp_path / "p.png"
    path.write_bytes(png[:33] + bomb + png[33:])
    with pytest.raises(PictureError, match="text chunk is too large"):
        read_text_chunks(path)


def test_a_picture_cut_anywhere_is_a_typed_error_or_read(tmp_path: Path) -> None:
    data = encode_png(PIXELS, {"prompt": "{}"})
    path = tmp_path / "p.png"
    for end in range(len(data)):
        path.write_bytes(data[:end])
        for read in (read_text_chunks, open_picture):
            with suppress(EaselError):
                read(path)


def test_a_huge_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    path = tmp_path / "huge.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    with pytest.raises(PictureError, match="too large"):
        open_picture(path)


def test_a_text_file_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_text("hello")
    with pytest.raises(PictureError):
        open_picture(path)
    with pytest.raises(PictureError, match="no PNG"):
        read_text_chunks(path)
