"""Small things that grow: refused in a second of processor time and in little memory, while others are served."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
import zlib
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import FormData

from engine.server.config import ServerConfig
from tests.unit.server.serving import huge_png, png
from tests.unit.server.world import World, serve
from tests.unit.store.test_png_flood import chunk

ZEROS = bytes(200 * 2**20)
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'


def packed(header: str, data: bytes) -> dict[str, Any]:
    return {"data": data, "headers": JSON | {"Content-Encoding": header}}


def many_parts(number: int) -> bytes:
    return (
        b"".join(b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n' for _ in range(number)) + b"--b--\r\n"
    )


BOMBS: dict[str, tuple[str, dict[str, Any]]] = {
    "gzip": ("/prompt", packed("gzip", gzip.compress(ZEROS))),
    "gzip twice": ("/prompt", packed("gzip, gzip", gzip.compress(gzip.compress(ZEROS)))),
    "deflate": ("/settings", packed("deflate", zlib.compress(ZEROS))),
    "brotli": ("/userdata/x", packed("br", b"\x8b\x00\x80x\x03")),
    "packed part": ("/upload/image", {
        "data": PART + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(ZEROS) + b"\r\n--b--\r\n", "headers": FORM,
    }),
    "many parts": ("/upload/image", {"data": many_parts(100_000), "headers": FORM}),
    "nested parts": ("/upload/image", {
        "data": b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 10_000, "headers": FORM,
    }),
    "long part header": ("/upload/image", {"data": PART + b"X: " + b"x" * 5_000_000, "headers": FORM}),
    "long field": ("/upload/image", {
        "data": b'--b\r\nContent-Disposition: form-data; name="type"\r\n\r\n' + b"x" * 5_000_000, "headers": FORM,
    }),
    "deep lists": ("/prompt", {"data": b"[" * 5_000_000, "headers": JSON}),
    "deep objects": ("/prompt", {"data": b'{"a":' * 1_000_000, "headers": JSON}),
    "many values": ("/prompt", {"data": b'{"prompt":[' + b"[]," * 2_000_000 + b"1]}", "headers": JSON}),
    "long number": ("/prompt", {"data": b'{"prompt":' + b"9" * 5_000_000 + b"}", "headers": JSON}),
    "long exponent": ("/prompt", {"data": b'{"number":1e' + b"9" * 1_000_000 + b"}", "headers": JSON}),
    "one key again and again": ("/prompt", {"data": b"{" + b'"a":1,' * 200_000 + b'"a":1}', "headers": JSON}),
}  # fmt: skip


async def spent(world: World, work: Any) -> tuple[Any, float, int]:
    """What `work` gives, the seconds of processor time that it took, and how many bytes this process grew meanwhile."""
    process = psutil.Process()
    before, most, start = process.memory_info().rss, 0, time.process_time()
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0.005)
        most = max(most, process.memory_info().rss)
    return await task, time.process_time() - start, most - before


async def post(world: World, path: str, more: dict[str, Any]) -> int:
    body = io.BytesIO(more["data"])  # a client that sends large bytes at once would hold up the loop itself
    async with world.client.post(path, data=body, headers=more["headers"]) as answer:
        await answer.read()
        return answer.status


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_quickly_and_in_little_memory(tmp_path: Path, name: str) -> None:
    path, more = BOMBS[name]

    async def work(world: World) -> None:
        status, seconds, growth = await spent(world, post(world, path, more))
        assert 400 <= status < 500
        assert seconds < 1.0
        assert growth < 100 * 2**20
        assert (await world.get_json("/healthz"))["status"] == "ok"

    serve(tmp_path, work)


def test_a_body_that_says_it_is_too_long_is_refused_before_it_comes(tmp_path: Path) -> None:
    async def work(world: World) -> bytes:
        server = world.client.server
        reader, writer = await asyncio.open_connection(server.host, server.port)
        head = "POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        writer.write(f"{head}{10**12}\r\n\r\n".encode())
        try:
            return await asyncio.wait_for(reader.readline(), 5)
        finally:
            writer.close()

    assert b" 413 " in serve(tmp_path, work)


@pytest.mark.parametrize("path", ["/prompt", "/userdata/x", "/settings", "/api/v1/jobs", "/upload/image"])
def test_a_body_without_a_length_is_cut_at_the_limit(tmp_path: Path, path: str) -> None:
    async def endless() -> Any:
        for _ in range(500):
            yield bytes(65536)

    async def work(world: World) -> int:
        headers = FORM if "upload" in path else JSON
        async with world.client.post(path, data=endless(), headers=headers) as answer:
            return int(answer.status)

    assert serve(tmp_path, work, config=ServerConfig(max_upload_bytes=2**20)) in (400, 413)


def test_a_huge_picture_is_refused_by_its_header_while_others_are_served(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        (world.state.settings.output / "huge.png").write_bytes(huge_png(20_000, 20_000))
        queries = ("", "&preview=webp", "&channel=rgb", "&channel=a")
        asked = [world.client.get(f"/view?filename=huge.png{query}") for query in queries * 5]
        answers, seconds, growth = await spent(world, asyncio.gather(*asked, world.client.get("/queue")))
        assert [answer.status for answer in answers] == [413] * 20 + [200]
        assert seconds < 20 * 0.2
        assert growth < 100 * 2**20

    serve(tmp_path, work)


@pytest.mark.parametrize("texts", [["tEXt"], ["zTXt"], ["iTXt"], ["juNk"]])
def test_text_and_chunk_bombs_are_refused_as_pictures(tmp_path: Path, texts: list[str]) -> None:
    kind = texts[0].encode()
    packed_text = zlib.compress(ZEROS)
    inner = {b"tEXt": b"k\0" + bytes(30_000_000), b"zTXt": b"k\0\0" + packed_text}
    inner[b"iTXt"] = b"k\0\1\0\0\0" + packed_text
    bomb = chunk(b"juNk") * 200_000 if kind == b"juNk" else chunk(kind, inner[kind]) * 3

    async def work(world: World) -> None:
        whole = png()
        (world.state.settings.output / "a.png").write_bytes(whole[:33] + bomb + whole[33:])
        status, seconds, growth = await spent(world, get(world, "/view?filename=a.png&preview=webp"))
        assert 400 <= status < 500
        assert seconds < 1.0
        assert growth < 100 * 2**20

    serve(tmp_path, work)


async def get(world: World, path: str) -> int:
    async with world.client.get(path) as answer:
        await answer.read()
        return answer.status


def test_few_large_pictures_are_decoded_at_once_and_small_ones_go_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.views.LARGE_PIXELS", 1_000)

    async def work(world: World) -> tuple[int, int, bool]:
        (world.state.settings.output / "large.png").write_bytes(png((64, 64)))
        (world.state.settings.output / "small.png").write_bytes(png((8, 8)))
        async with world.state.decoding, world.state.decoding:
            waiting = asyncio.create_task(get(world, "/view?filename=large.png&preview=webp"))
            small = await get(world, "/view?filename=small.png&preview=webp")
            done = waiting.done()
        return small, await waiting, done

    assert serve(tmp_path, work) == (200, 200, False)


EXTENSIONS = """
    html htm shtml xhtml xht xml xsl xslt svg svgz pdf js mjs cjs css json swf mht mhtml hta php jsp asp aspx cgi py
    sh exe bat cmd com vbs jar class wasm doc docm xlsm rtf ics vcf eml zip gz tar 7z iso txt md csv log ini yaml yml
    toml htaccess webmanifest appcache rdf rss atom
""".split()  # noqa: SIM905  # sixty lines of one word each would say no more
BODIES = [
    b"<script>alert(1)</script>", b"<html><body onload=alert(1)>", b"<!doctype html><p>", b"<svg onload='alert(1)'/>",
    b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", b"%PDF-1.7\n/JS (app.alert(1))",
    b"GIF89a/*<script>*/=1", b"\x89PNG\r\n\x1a\n<script>", b"\xff\xd8\xff<script>", b"RIFF\0\0\0\0WEBP<script>",
    b"BM<html>", b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<script>", b"\xef\xbb\xbf<html>",
    b"\xff\xfe<\0h\0t\0m\0l\0>\0", b"+ADw-script+AD4-", b"CWS\x07", b"PK\x03\x04<html>", b"MZ", b"#!/bin/sh\n", b"",
]  # fmt: skip


def test_no_upload_is_ever_active_in_a_browser(tmp_path: Path) -> None:
    assert (len(EXTENSIONS) >= 60, len(BODIES)) == (True, 20)

    async def work(world: World) -> list[Any]:
        wrong = []
        for extension in EXTENSIONS:
            for number, body in enumerate(BODIES):
                form = FormData()
                name = f"x{number}.{extension if number % 2 else extension.upper()}"
                form.add_field("image", body, filename=name, content_type="text/html")
                stored = json.loads(await (await world.client.post("/upload/image", data=form)).read())["name"]
                async with world.client.get(f"/view?type=input&filename={stored}") as answer:
                    headers = answer.headers
                    safe = (
                        headers["Content-Type"] == "application/octet-stream"
                        and headers["Content-Disposition"].startswith("attachment")
                        and headers["X-Content-Type-Options"] == "nosniff"
                        and "sandbox" in headers["Content-Security-Policy"]
                    )
                    if answer.status != 200 or not safe:
                        wrong.append((name, answer.status, dict(headers)))
        return wrong

    assert serve(tmp_path, work) == []
