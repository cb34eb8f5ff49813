"""Frames on the pipes between the server and its workers: a JSON head and bytes, each with its length before it."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any, BinaryIO

_LENGTHS = struct.Struct(">II")


def pack(head: dict[str, Any], body: bytes = b"") -> bytes:
    """A frame of `head` and `body`."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


async def receive(stream: asyncio.StreamReader) -> tuple[dict[str, Any], bytes] | None:
    """The next frame, None at the end of the stream, even in the middle of a frame."""
    try:
        text, body = _LENGTHS.unpack(await stream.readexactly(_LENGTHS.size))
        return json.loads(await stream.readexactly(text)), await stream.readexactly(body)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def read(file: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """As `receive`, from a file that blocks."""
    lengths = file.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    text, body = _LENGTHS.unpack(lengths)
    head, rest = file.read(text), file.read(body)
    return (json.loads(head), rest) if len(head) + len(rest) == text + body else None
