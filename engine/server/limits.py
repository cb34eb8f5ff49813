"""Bodies that are refused before a byte of them is read: too long, or packed so that nobody knows how long."""

from __future__ import annotations

from typing import ClassVar

from aiohttp import web
from aiohttp.typedefs import Middleware

from engine.foundation.errors import EaselError
from engine.server.errors import Handler

FRAMING = 2 * 2**20
"""What boundaries, part headers and text fields may add to an upload."""
MAX_VALUES = 1_000_000
"""Values of a JSON body: each becomes an object of a hundred bytes and more, where it was two in the body."""


class TooLargeError(EaselError):
    """A body of more than is taken."""

    code: ClassVar[str] = "too_large"


class EncodedBodyError(EaselError):
    """A compressed body. No client of ours sends one, and a few bytes may unpack to gigabytes."""

    code: ClassVar[str] = "encoded_body"


def too_large(limit: int) -> TooLargeError:
    """The error for a body of more than `limit` bytes."""
    return TooLargeError("this body is too large", expected=f"at most {limit} bytes")


def limits(max_bytes: int) -> Middleware:
    """The middleware that judges bodies by what the headers say of them."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", ""):
            raise EncodedBodyError("a body is taken only as it is", where="Content-Encoding", got=encoding[:40])
        if (request.content_length or 0) > max_bytes + FRAMING:
            raise too_large(max_bytes)
        return await handler(request)

    return middleware
