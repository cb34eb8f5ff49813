"""Whatever comes over the wire: no answer of 500, nothing that hangs, and a worker that works on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError

from tests.unit.server.fuzz import HANG_SECONDS, SOCKETS, described, frames, nasty, rude, send, speak, upgrade
from tests.unit.server.world import World, serve

DESCRIBED, NASTY, RUDE, FRAMES = 4_000, 4_000, 1_500, 300


class Failures(logging.Handler):
    """What the server's own borders caught: also where the client was gone before the answer."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):  # aiohttp logs every request that is no HTTP, and answers 400
            self.seen.append(f"{record.name}: {record.getMessage()} {error!r}"[:400])


def is_well_after(tmp_path: Path, work: Callable[[World], Awaitable[Any]]) -> None:
    """Do `work` against a server, then see that it answers and that a job runs; `work` gives what was wrong."""
    failures = Failures()

    async def whole(world: World) -> None:
        wrong = await work(world)
        assert wrong == [], "\n".join(map(str, wrong[:20]))
        async with asyncio.timeout(HANG_SECONDS):
            await world.post("/api/v1/queue/resume")
            assert (await world.get_json("/healthz"))["status"] == "ok"
        entry = await world.ended(await world.queue(("Say", {})))
        assert entry["status"]["status_str"] == "success"

    logging.getLogger().addHandler(failures)
    try:
        serve(tmp_path, whole)
    finally:
        logging.getLogger().removeHandler(failures)
    assert failures.seen == []


async def talk(world: World, texts: list[bytes], start: bytes = b"", *, least: float) -> list[Any]:
    """Say each text on a connection of its own, some at once. What was wrong; `least` of them must be answered."""
    wrong: list[Any] = []
    answered = 0
    waiting = iter(texts)

    async def one_after_the_other() -> None:
        nonlocal answered
        for text in waiting:
            statuses = await speak(world, start + text)
            answered += bool(statuses)
            if any(status >= 500 for status in statuses):
                wrong.append((statuses, text[:300]))

    await asyncio.gather(*(one_after_the_other() for _ in range(4 * SOCKETS)))
    return wrong if answered >= least * len(texts) else [*wrong, f"only {answered} of {len(texts)} were answered"]


def test_requests_made_from_our_description_are_answered(tmp_path: Path) -> None:
    made = list(described(DESCRIBED, 1))
    assert len(made) == DESCRIBED
    is_well_after(tmp_path, lambda world: send(world, made))


def test_nasty_texts_in_every_parameter_are_answered(tmp_path: Path) -> None:
    async def work(world: World) -> list[str]:
        return await send(world, list(nasty(world.client.server.app, NASTY, 2)))  # type: ignore[attr-defined]

    is_well_after(tmp_path, work)


def test_broken_http_is_answered_or_cut_off(tmp_path: Path) -> None:
    is_well_after(tmp_path, lambda world: talk(world, list(rude(RUDE, 3)), least=0.6))


def test_broken_frames_end_their_socket_alone(tmp_path: Path) -> None:
    async def work(world: World) -> list[Any]:
        listening = await world.socket("well")
        wrong = await talk(world, list(frames(FRAMES, 4)), upgrade(), least=0.99)
        async with asyncio.timeout(HANG_SECONDS):
            while len(world.state.hub) > 1:
                await asyncio.sleep(0.01)
        return wrong + (["another socket was closed"] if listening.closed or len(world.state.hub) != 1 else [])

    is_well_after(tmp_path, work)


def test_slow_bodies_keep_nobody_waiting(tmp_path: Path) -> None:
    async def work(world: World) -> list[Any]:
        server = world.client.server
        slow = [await asyncio.open_connection(server.host, server.port) for _ in range(100)]
        head = b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        for number, (_, writer) in enumerate(slow):
            writer.write(head[: number * 3] if number < 50 else head + b"\r\n{")
        async with asyncio.timeout(HANG_SECONDS):
            await world.ended(await world.queue(("Say", {})))
        for _, writer in slow[50:]:
            writer.write(b"}")
        async with asyncio.timeout(HANG_SECONDS):
            answers = [await reader.readline() for reader, _ in slow[50:]]
        for _, writer in slow:
            writer.close()
        return [answer for answer in answers if b" 400 " not in answer]

    is_well_after(tmp_path, work)
