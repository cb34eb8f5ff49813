"""Which files a browser may show: an allow-list by suffix. Everything else is handed out as bytes to be saved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import quote

BYTES = "application/octet-stream"
INLINE: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
}
"""Raster pictures, video and audio: nothing that could hold a script (so no SVG, XML, HTML or PDF)."""

_UNQUOTABLE = re.compile(r'[^\x20-\x7e]|["\\%]')


def inline_type(name: str) -> str | None:
    """The media type under which a file of this name is shown; None for one that is handed out as `BYTES`."""
    return INLINE.get(PurePosixPath(name).suffix.lower())


def is_shown_picture(name: str) -> bool:
    """Whether a browser is to show a file of this name as a picture."""
    return (inline_type(name) or "").startswith("image/")


def disposition(name: str, *, inline: bool) -> str:
    """The value of `Content-Disposition` for a file of this name (RFC 6266; the full name as RFC 5987 writes it)."""
    kind = "inline" if inline else "attachment"
    plain = _UNQUOTABLE.sub("_", name)
    value = f'{kind}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
