"""Requests that nobody would send: made from our own description, from nasty texts, and byte by byte."""

from __future__ import annotations

import asyncio
import json
import random
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from yarl import URL

from engine.server.openapi import document
from tests.unit.server.world import World

HANG_SECONDS = 5.0
SILENCE_SECONDS = 0.4
SOCKETS = 16
_ROUND = 100
_OTHERWISE = ("/ws", "/readyz")  # sockets are fuzzed by frames; 503 is what readyz says of a worker that starts
SAY = {"1": {"class_type": "Say", "inputs": {}}}
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_TRAVERSALS = (
    "../x",
    "%2e%2e%2fx",
    "..%5cx",
    "%00",
    "a%0d%0ab:%20c",
    "%ff%fe",
    "%ed%a0%80",
    "x" * 700,
    "CON",
    "~",
    "%25",
)
_TEXTS = (
    "",
    "0",
    "-1",
    "1e999",
    "NaN",
    "null",
    "true",
    "[]",
    "{}",
    '"',
    "9" * 5000,
    "\U0001f600",
    "\u202e",
    "' OR 1=1",
    "%s",
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


def described(number: int, start: int) -> Iterator[Request]:
    """`number` requests of schemathesis, half of them as our OpenAPI says and half not; `start` varies them."""
    schema = schemathesis.openapi.from_dict(document())
    operations = [result.ok() for result in schema.get_all_operations()]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    left = [(operation, mode) for operation in operations for mode in modes]
    while number > 0:
        fruitful = []
        for operation, mode in left:
            start += 1
            made = _generated(operation, mode, start)
            yield from made[:number]
            number -= min(len(made), number)
            if len(made) >= _ROUND // 2:  # a route without parameters has one request and no more
                fruitful.append((operation, mode))
        left = fruitful


def _generated(operation: Any, mode: GenerationMode, start: int) -> list[Request]:
    made: list[Request] = []
    try:
        _generate(operation.as_strategy(generation_mode=mode), _ROUND, start, made)
    except Unsatisfiable:  # no text is wrong where the description says text
        _generate(operation.as_strategy(), _ROUND, start, made)
    return made


def _generate(strategy: Any, number: int, start: int, made: list[Request]) -> None:
    @seed(start)
    @settings(
        max_examples=number,
        derandomize=False,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def make(case: Any) -> None:
        wanted = case.as_transport_kwargs(base_url="http://easel")
        try:
            ready = requests.Request(**wanted).prepare()
        except (ValueError, UnicodeError):
            return  # no client could send it
        body = ready.body.encode() if isinstance(ready.body, str) else ready.body
        kept = {name: str(value) for name, value in ready.headers.items() if name in ("Content-Type", "Accept")}
        made.append(Request(str(ready.method), str(ready.url).removeprefix("http://easel"), kept, body))

    make()


def nasty(app: web.Application, number: int, start: int) -> Iterator[Request]:
    """Every route there is, with texts in its parameters that other servers fell over, and bodies near to right."""
    chance = random.Random(start)
    routes = [(route.method, route.resource.canonical) for route in app.router.routes() if route.resource]
    routes = [(method, path) for method, path in routes if not path.endswith(_OTHERWISE)]
    for _ in range(number):
        method, path = chance.choice(routes)
        path = re.sub(r"{[^}]*}", lambda _: chance.choice(_TRAVERSALS), path)
        names = (
            "filename",
            "type",
            "subfolder",
            "preview",
            "channel",
            "limit",
            "offset",
            "dir",
            "path",
            "after",
            "wait",
        )
        query = "&".join(
            f"{name}={chance.choice(_TRAVERSALS)}"
            for name in chance.sample(names, chance.randrange(4))
            if name != "wait"
        )
        kind = chance.choice(
            ("application/json", "application/json", "text/plain", "multipart/form-data; boundary=b", "a/b")
        )
        body = _body(chance) if method != "GET" else None
        yield Request(
            method, f"{path}?{query}" if query else path, {"Content-Type": kind} if body is not None else {}, body
        )


def _body(chance: random.Random) -> bytes:
    value: Any = {"prompt": SAY, "client_id": "c", "prompt_id": "i", "number": 1, "extra_data": {}, "front": False}
    value |= {"delete": ["x"], "clear": False, "ids": ["x"], "priority": 0, "partial_execution_targets": ["1"]}
    for _ in range(chance.randrange(3)):
        value = _changed(value, chance)
    data = bytearray(json.dumps(value).encode())
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _changed(value: Any, chance: random.Random) -> Any:
    """The value with one thing in it replaced by something that does not belong there."""
    others: Sequence[Callable[[], Any]] = (
        lambda: None, list, dict, lambda: True, lambda: -1, lambda: 1e308, lambda: 2**70,
        lambda: chance.choice(_TEXTS), lambda: [["1", 0]], lambda: ["1", -1], lambda: {"__value__": []},
    )  # fmt: skip
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        return {**value, name: _changed(value[name], chance)}
    return chance.choice(others)()


async def send(world: World, asked: Sequence[Request]) -> list[str]:
    """Send requests, some at once. What was wrong: answers of 500 and above, and those that did not come."""
    wrong: list[str] = []
    waiting = iter(asked)

    async def one_after_the_other() -> None:
        for request in waiting:
            try:
                url = URL(str(world.client.make_url("")).rstrip("/") + request.url, encoded=True)
                async with asyncio.timeout(HANG_SECONDS):
                    async with world.client.session.request(
                        request.method, url, headers=request.headers, data=request.body, allow_redirects=False
                    ) as answer:
                        await answer.read()
                if answer.status >= 500:
                    wrong.append(f"{answer.status} {request} {(await answer.text())[:200]}")
            except TimeoutError:
                wrong.append(f"no answer {request}")

    await asyncio.gather(*(one_after_the_other() for _ in range(SOCKETS)))
    return wrong


async def speak(world: World, data: bytes) -> list[int]:
    """Send bytes on a connection of its own. The statuses that came back until it was cut off, or nothing more came.

    The connection stays open both ways: at the end of what a client sends aiohttp stops at once, and judges nothing.
    """
    server = world.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    got = b""
    try:
        writer.write(data)
        await writer.drain()
        while piece := await asyncio.wait_for(reader.read(65536), SILENCE_SECONDS):
            got += piece
    except (ConnectionError, TimeoutError):
        pass  # cut off, or the server waits for the rest of a request, as it should
    finally:
        writer.close()
    return [int(status) for status in _STATUS.findall(got)]


def rude(number: int, start: int) -> Iterator[bytes]:
    """What may come on a connection: lines, headers and bodies that break the rules of HTTP."""
    yield from _RUDE
    chance = random.Random(start)
    whole = [
        _with_body(b"/prompt", json.dumps({"prompt": SAY}).encode()),
        _get(b"/queue"),
        _get(b"/view?filename=x"),
        _CHUNKED,
    ]
    for _ in range(number):
        data = bytearray(chance.choice(whole) * chance.choice((1, 1, 2)))
        for _ in range(chance.randrange(1, 3)):
            place = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place : place + chance.randrange(1, 20)]
                case 2:
                    data[place:place] = chance.choice(
                        (b"\r\n", b"\0", b"\n", b":", b" ", b"\xff", b"A" * 9000, b"0\r\n\r\n")
                    )
                case _:
                    data[place:place] = data[: chance.randrange(1, 60)]
            if not data:
                break
        yield bytes(data)


def _get(path: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((b"GET " + path + b" HTTP/1.1", b"Host: localhost", *headers, b"", b""))


def _with_body(path: bytes, body: bytes, *headers: bytes, length: bytes | None = None) -> bytes:
    length = str(len(body)).encode() if length is None else length
    start = (b"POST " + path + b" HTTP/1.1", b"Host: localhost", b"Content-Type: application/json")
    return b"\r\n".join((*start, b"Content-Length: " + length, *headers, b"", b"")) + body


def _chunked(body: bytes, *headers: bytes) -> bytes:
    start = (
        b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    )
    return start + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


_CHUNKED = _chunked(b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n')
_RUDE = (
    b"",
    b"\r\n",
    b"\n\n\n",
    b"\0" * 100,
    b"GET",
    b"GET /",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"G\0T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET //// HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://evil.example/queue HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?" + b"&" * 8000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /queue#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET  /queue  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    _get(b"/queue", b"X: " + b"a" * 100_000),
    _get(b"/queue", *(b"X%d: a" % i for i in range(5000))),
    _get(b"/queue", b": a"),
    _get(b"/queue", b"X : a"),
    _get(b"/queue", b" folded"),
    _get(b"/queue", b"X: a\0b"),
    _get(b"/queue", b"X: \xff\xfe\xed\xa0\x80"),
    _get(b"/queue", b"Cookie: " + b"a=b;" * 1500),
    _get(b"/queue", b"Cookie: easel_token=\xff\xfe; =; ;;"),
    _get(b"/queue", b"Authorization: Bearer \xff"),
    _get(b"/queue", b"Host: localhost"),
    _get(b"/queue", b"Origin: http://[::1"),
    _get(b"/queue", b"Origin: http://localhost:99999999"),
    _get(b"/queue", b"Origin: //"),
    _get(b"/queue", b"Origin: http://\xff"),
    _get(b"/queue", b"Sec-Fetch-Site: \0"),
    _get(b"/view?filename=example.png", b"Range: bytes=5-1"),
    _get(b"/view?filename=example.png", b"Range: bytes=-99999999999999999999"),
    _get(b"/view?filename=example.png", b"Range: lines=1", b"If-Modified-Since: never", b'If-None-Match: "'),
    _get(b"/view?filename=a;b&&&=&%"),
    _get(b"/queue", b"Expect: 100-continue"),
    _get(b"/queue", b"Expect: the-moon"),
    _get(b"/queue", b"Upgrade: h2c", b"Connection: upgrade"),
    _get(b"/ws", b"Upgrade: websocket", b"Connection: upgrade"),
    _get(b"/ws", b"Upgrade: websocket", b"Connection: upgrade", b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Version: 13"),
    _get(
        b"/ws",
        b"Upgrade: websocket",
        b"Connection: upgrade",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"Sec-WebSocket-Version: 99",
    ),
    _get(b"/queue") * 50,
    _get(b"/queue") + b"garbage",
    _get(b"/queue", b"Content-Length: 5"),
    _get(b"/queue", b"Content-Length: 5") + b"{}",
    *(
        _with_body(b"/prompt", b"{}", length=length)
        for length in (
            b"-1",
            b"+2",
            b"0x2",
            b"1e3",
            b"",
            b"two",
            b"2, 2",
            b"99999999999999999999999",
            b"1000000000000",
            b"0",
            b"1",
            b"50",
        )
    ),
    _with_body(b"/prompt", b"{}", b"Content-Length: 3"),
    _with_body(b"/prompt", b"{}", b"Transfer-Encoding: chunked"),
    _with_body(b"/prompt", b"{}", b"Transfer-Encoding: gzip, chunked"),
    _with_body(b"/prompt", b"{}", b"Content-Encoding: gzip"),
    _with_body(b"/prompt", b"{}", b"Content-Encoding: br"),
    _with_body(b"/upload/image", b"--b", b"Content-Type: multipart/form-data"),
    *(
        _chunked(body)
        for body in (
            b"",
            b"0\r\n\r\n",
            b"zz\r\n",
            b"-1\r\n\r\n",
            b"FFFFFFFFFFFFFFFF\r\nx",
            b"5\r\nab\r\n",
            b"2\r\n{}X\r\n0\r\n\r\n",
            b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n",
            b"1\r\n{\r\n" * 2000,
            b"00000000000000000002\r\n{}\r\n0\r\n\r\n",
        )
    ),
    _chunked(b"0\r\n\r\n", b"Content-Length: 10"),
    _chunked(b"0\r\n\r\n", b"Transfer-Encoding: identity"),
    _CHUNKED * 20,
)


def upgrade(path: bytes = b"/ws?clientId=f") -> bytes:
    key = (
        b"Upgrade: websocket",
        b"Connection: upgrade",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"Sec-WebSocket-Version: 13",
    )
    return _get(path, *key)


def frame(
    kind: int,
    data: bytes = b"",
    *,
    final: bool = True,
    masked: bool = True,
    reserved: int = 0,
    length: int | None = None,
) -> bytes:
    length = len(data) if length is None else length
    first = (0x80 if final else 0) | reserved << 4 | kind
    mask = 0x80 if masked else 0
    if length < 126:
        head = struct.pack(">BB", first, mask | length)
    elif length < 65536:
        head = struct.pack(">BBH", first, mask | 126, length)
    else:
        head = struct.pack(">BBQ", first, mask | 127, length)
    return head + (bytes(4) if masked else b"") + data


def frames(number: int, start: int) -> Iterator[bytes]:
    """What may come on a socket: frames of every kind that break the rules."""
    for kind in range(16):
        yield from (
            frame(kind, b"x"),
            frame(kind, masked=False),
            frame(kind, b"x", final=False),
            frame(kind, b"x" * 200),
        )
        yield from (frame(kind, b"x", reserved=reserved) for reserved in range(1, 8))
    text = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}).encode()
    yield from (frame(1, text), frame(1, text) * 50, frame(2, text), frame(1, b"[" * 50_000), frame(1, b"{" * 9 + b"}"))
    yield from (
        frame(1, bad)
        for bad in (b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"null", b"5", b'"x"')
    )
    yield from (
        frame(kind, b"x", length=length)
        for kind in (1, 2)
        for length in (2, 126, 2**20 + 1, 2**31, 2**63 - 1, 2**64 - 1)
    )
    yield frame(1, b"a", final=False) + frame(1, b"b")
    yield frame(1, b"a", final=False) + frame(9) + frame(0, b"b")
    yield frame(1, b"a", final=False) + frame(0, b"\xff")
    yield frame(1, b"a", final=False) + frame(0, b"b", final=False) * 5000
    yield frame(1, b"a" * 60_000, final=False) + frame(0, b"b" * 60_000, final=False) * 20
    yield frame(8, struct.pack(">H", 999)) + frame(8, b"\x03") + frame(8, b"\x03\xe8\xff")
    yield frame(9, b"p" * 125) * 2000
    yield frame(10) * 1000
    chance = random.Random(start)
    for _ in range(number):
        yield chance.randbytes(chance.randrange(1, 200))
