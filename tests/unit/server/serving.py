"""A server of some routes only, over folders of its own, and files that are cheap to make and hard to serve."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image
from yarl import URL

from engine.foundation.settings import settings_under
from engine.server.config import ServerConfig
from engine.server.errors import errors_as_answers
from engine.server.state import STATE, State
from engine.store.folders import folders
from engine.store.listing import Listing

Client = TestClient[web.Request, web.Application]
Result = TypeVar("Result")

TRAVERSALS = (
    "../secret.txt",
    "../../../../etc/passwd",
    "a/../../secret.txt",
    "./../secret.txt",
    "..",
    ".",
    "..%2fsecret.txt\\..",
    "..\\secret.txt",
    "a\\..\\..\\secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "~/x",
    "C:/x",
    "C:x",
    "\\\\host\\share",
    "x\0.png",
    "x\n.png",
    "CON",
    "nul.png",
    "lpt1",
    "x.png:stream",
    "x.",
    "x ",
    "a//b",
    "a/./b",
    "x" * 300,
    "y/" * 600 + "z",
)


def served(
    base: Path, routes: Sequence[tuple[str, str, Any]], work: Callable[[Client], Awaitable[Result]], **config: Any
) -> Result:
    """What `work` gives with a client of a server that has `routes` over the folders below `base`."""

    async def run() -> Result:
        settings = settings_under(base)
        for folder in (settings.input, settings.output, settings.temp):
            folder.mkdir(parents=True, exist_ok=True)
        taken = ServerConfig(**config)
        app = web.Application(middlewares=[errors_as_answers], client_max_size=taken.max_upload_bytes)
        parts = {"settings": settings, "config": taken, "folders": Listing(folders(settings))}
        parts["decoding"] = asyncio.Semaphore(2)
        app[STATE] = State(**{item.name: parts.get(item.name) for item in fields(State)})  # the others are not asked
        for method, path, handler in routes:
            app.router.add_route(method, path, handler)
        async with TestClient(TestServer(app)) as client:
            return await work(client)

    return asyncio.run(run())


def one(
    base: Path, routes: Sequence[tuple[str, str, Any]], method: str, url: str, **more: Any
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer; `url` is sent as it is written, percent signs and all."""
    config = {"max_upload_bytes": more.pop("max_upload_bytes")} if "max_upload_bytes" in more else {}

    async def ask(client: Client) -> tuple[int, dict[str, str], bytes]:
        target = URL(url, encoded=True)
        async with client.request(method, target, **more) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    return served(base, routes, ask, **config)


def form(data: bytes, filename: str, **texts: str) -> FormData:
    """An upload as a browser sends it."""
    body = FormData(quote_fields=False)  # the name as it is, not percent-encoded
    body.add_field("image", io.BytesIO(data), filename=filename, content_type="application/octet-stream")
    for name, text in texts.items():
        body.add_field(name, text)
    return body


def png(size: tuple[int, int] = (6, 4), colour: tuple[int, ...] = (200, 100, 50), **options: Any) -> bytes:
    """A small PNG file of one colour, with alpha if the colour has four parts."""
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(file, "PNG", **options)
    return file.getvalue()


def huge_png(width: int = 20_000, height: int = 20_000) -> bytes:
    """A file of a few hundred bytes whose header promises more pixels than anybody decodes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * width) * 2)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def safetensors(metadata: Any) -> bytes:
    """A file without tensors."""
    header = json.dumps({} if metadata is None else {"__metadata__": metadata}).encode()
    return struct.pack("<Q", len(header)) + header
