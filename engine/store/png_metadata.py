"""Text chunks and the size of PNG files, read without decoding the picture (PNG specification, sections 5 and 11)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar

from engine.foundation.errors import EaselError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT = 32 * 2**20
_PIXELS = (b"IDAT", b"fdAT")
MAX_CHUNKS = 65_536
"""A picture of the largest size that is opened has about 50,000 chunks of the 8 KiB that libpng writes."""


class PictureError(EaselError):
    """A picture file that is damaged, of an unknown kind, or too large."""

    code: ClassVar[str] = "bad_picture"


def read_text_chunks(path: Path, max_bytes: int = MAX_TEXT) -> dict[str, str]:
    """Keyword to text of the `tEXt`, `zTXt` and `iTXt` chunks of a PNG file, of `max_bytes` in all at the most.

    Chunks after the picture data count too. Raises `PictureError` for a file that is no PNG or ends early.
    """
    texts: dict[str, str] = {}
    left = max_bytes
    with path.open("rb") as file:
        for kind, data in _chunks(file, path, max_bytes):
            if kind in (b"tEXt", b"zTXt", b"iTXt"):
                found = _text(kind, data, left, path)
                if found is not None:
                    texts.setdefault(*found)
                    left -= len(found[1])
    return texts


def png_size(path: Path) -> tuple[int, int]:
    """Width and height from the header of a PNG file."""
    with path.open("rb") as file:
        for kind, data in _chunks(file, path, 64):
            if kind == b"IHDR" and len(data) == 13:
                width, height = struct.unpack(">II", data[:8])
                return width, height
            break
    raise _damaged(path)


def refuse_bomb(path: Path) -> None:
    """Raise `PictureError` for a PNG file with chunks without end, or with far more in them than its pixels.

    Pillow reads every chunk, and the whole of most of them. A file that is no PNG passes.
    """
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return
        left = MAX_TEXT
        for _ in range(MAX_CHUNKS):
            header = file.read(8)
            if len(header) < 8 or header[4:] == b"IEND":
                return
            length = int.from_bytes(header[:4])
            left -= 0 if header[4:] in _PIXELS else length
            if left < 0:
                raise PictureError("the chunks of this PNG file are too large", where=path.name)
            file.seek(length + 4, 1)
    raise _flooded(path.name)


def _chunks(file: BinaryIO, path: Path, max_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """Type and data of each chunk; the data of chunks that hold no text is skipped."""
    if file.read(8) != SIGNATURE:
        raise PictureError("this is no PNG file", where=path.name)
    for _ in range(MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            raise _damaged(path)
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IEND":
            return
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"IHDR"):
            if length > max_bytes:
                raise PictureError("a text chunk is too large", where=path.name, got=f"{length} bytes")
            data = file.read(length)
            if len(data) < length:
                raise _damaged(path)
            yield kind, data
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)
    raise _flooded(path.name)


def _text(kind: bytes, data: bytes, limit: int, path: Path) -> tuple[str, str] | None:
    keyword, _, rest = data.partition(b"\0")
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, _decoded(rest)
    if kind == b"zTXt":
        return name, _decoded(_inflate(rest[1:], limit, path))
    flags, _, rest = rest[:2], rest[:2], rest[2:]
    _language, _, rest = rest.partition(b"\0")
    _translated, _, text = rest.partition(b"\0")
    if flags[:1] == b"\1":
        text = _inflate(text, limit, path)
    return name, text.decode("utf-8", "replace")


def _decoded(data: bytes) -> str:
    """Latin-1 says the specification, UTF-8 is what some programs write."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _inflate(data: bytes, limit: int, path: Path) -> bytes:
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, max(limit, 1))
    except zlib.error as error:
        raise _damaged(path) from error
    if stream.unconsumed_tail:
        raise PictureError("a text chunk is too large", where=path.name, expected=f"at most {limit} bytes")
    return text


def _flooded(where: str) -> PictureError:
    return PictureError("this PNG file has too many chunks", where=where, expected=f"at most {MAX_CHUNKS}")


def _damaged(path: Path) -> PictureError:
    return PictureError("this PNG file is damaged or cut short", where=path.name)
