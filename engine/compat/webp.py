"""Texts that a WebP picture carries: `key:text` in the ASCII tags of its EXIF chunk (RIFF container, TIFF 6.0).

The community writes `prompt:{...}` under tag 0x0110 and `workflow:{...}` under 0x010F, further keys under the tags
below. The tags say nothing that the keys do not, so every ASCII tag of the first directory is read.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from engine.store.png_metadata import MAX_TEXT, PictureError

_ASCII = 2
_PREFIX = b"Exif\0\0"  # some writers put it before the TIFF header, as in JPEG


def read_texts(path: Path) -> dict[str, str]:
    """Key to text of a WebP file, keys in lower case. Raises `PictureError` for damaged or oversized metadata."""
    with path.open("rb") as file:
        exif = _exif_chunk(file, path)
    try:
        return dict(_texts(exif.removeprefix(_PREFIX))) if exif else {}
    except (struct.error, KeyError) as error:
        raise PictureError("the metadata of this WebP file is damaged", where=path.name) from error


def _exif_chunk(file: BinaryIO, path: Path) -> bytes:
    """The data of the EXIF chunk, empty if there is none."""
    header = file.read(12)
    if header[:4] != b"RIFF" or header[8:] != b"WEBP":
        raise PictureError("this is no WebP file", where=path.name)
    while len(chunk := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", chunk)
        if kind == b"EXIF":
            if length > MAX_TEXT:
                raise PictureError(
                    "the metadata of this WebP file is too large", where=path.name, got=f"{length} bytes"
                )
            return file.read(length)
        file.seek(length + length % 2, 1)
    return b""


def _texts(tiff: bytes) -> list[tuple[str, str]]:
    order = {b"II": "<", b"MM": ">"}[tiff[:2]]
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    texts: list[tuple[str, str]] = []
    for number in range(count):
        place = start + 2 + 12 * number
        _tag, kind, size, offset = struct.unpack_from(f"{order}HHII", tiff, place)
        if kind == _ASCII:
            begin = offset if size > 4 else place + 8
            text = tiff[begin : begin + size].rstrip(b"\0").decode("utf-8", "replace")
            key, colon, rest = text.partition(":")
            if colon:
                texts.append((key.lower(), rest))
    return texts
