"""Jobs that kill or hang their worker: quarantined, while the queue, and the API, go on (R5, R8)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
from aiohttp import ClientSession

from tests.reliability.server_process import ServerProcess, get, session, submit

HANG = ("--hang-seconds", "1.5", "--stall-seconds", "1.5")
POISONS: dict[str, dict[str, Any]] = {
    "Segfault": {}, "Exit": {}, "Spin": {}, "Freeze": {"seconds": 600.0}, "Nonsense": {},
}  # fmt: skip
NEXT_WITHIN = 5.0
STALL = re.compile(r"stood still for (\d+) ms")


@asynccontextmanager
async def serving(base: Path, *options: str) -> AsyncIterator[tuple[ServerProcess, ClientSession]]:
    server = ServerProcess(base, *options)
    await server.start()
    try:
        async with session() as client:
            yield server, client
    finally:
        await server.kill()


def one(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": kind, "inputs": inputs}}


async def ended(server: ServerProcess, client: ClientSession, job: str, seconds: float = 60) -> dict[str, Any]:
    """A job with its attempts, once it has ended."""
    async with asyncio.timeout(seconds):
        while True:
            found: dict[str, Any] = await get(client, f"{server.url}/api/v1/jobs/{job}")
            if found["ended"] is not None:
                return found
            await asyncio.sleep(0.05)


def test_a_poison_job_is_quarantined_and_the_next_one_starts_soon(tmp_path: Path) -> None:
    async def whole() -> dict[str, tuple[float, float]]:
        times = {}
        async with serving(tmp_path, *HANG) as (server, client):
            for kind, inputs in POISONS.items():
                assert await submit(client, server.url, f"{kind} 1", one(kind, **inputs)) == 200
                assert await submit(client, server.url, f"{kind} 2", one("Say")) == 200
                began = monotonic()
                poison, following = await ended(server, client, f"{kind} 1"), await ended(server, client, f"{kind} 2")
                assert (poison["state"], poison["deaths"], following["state"]) == ("quarantined", 2, "done")
                died = min(attempt["ended"] for attempt in poison["attempts"])
                times[kind] = (monotonic() - began, (following["started"] - died) / 1000)
        return times

    times = asyncio.run(whole())
    print({kind: f"quarantined after {whole:.1f} s, next {gap:.2f} s" for kind, (whole, gap) in times.items()})
    assert all(0 <= gap <= NEXT_WITHIN for _, gap in times.values())


def test_a_restart_with_nothing_but_poison_ends_quarantined(tmp_path: Path) -> None:
    async def whole() -> dict[str, Any]:
        async with serving(tmp_path, *HANG) as (server, client):
            await submit(client, server.url, "poison", one("Freeze", seconds=600.0))
            while (await get(client, f"{server.url}/api/v1/jobs/poison"))["state"] != "running":
                await asyncio.sleep(0.02)
            await server.kill()
            await server.start()
            return await ended(server, client, "poison")

    job = asyncio.run(whole())
    assert (job["state"], job["deaths"]) == ("quarantined", 2)
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["interrupted", "died", "quarantined"]


def test_kills_from_outside_never_count_against_a_job(tmp_path: Path) -> None:
    async def whole() -> dict[str, Any]:
        async with serving(tmp_path) as (server, client):
            await submit(client, server.url, "job", one("Steps", count=60))
            for number in range(1, 6):
                await until(lambda at=number: began(server, client, at))  # type: ignore[misc]
                for worker in server.workers():
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()
            return await ended(server, client, "job")

    async def began(server: ServerProcess, client: ClientSession, attempt: int) -> bool:
        job = await get(client, f"{server.url}/api/v1/jobs/job")
        return job["state"] == "running" and job["attempt"] == attempt

    job = asyncio.run(whole())
    assert (job["state"], job["deaths"]) == ("done", 0)
    assert job["attempt"] >= 6


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.01)


def test_the_api_answers_while_a_node_holds_its_interpreter(tmp_path: Path) -> None:
    async def whole() -> tuple[list[float], list[int]]:
        async with serving(tmp_path) as (server, client):
            await submit(client, server.url, "busy", one("Freeze", seconds=600.0))
            taken = []
            for number in range(200):
                began = monotonic()
                await (get(client, f"{server.url}/queue") if number % 2 else get(client, f"{server.url}/prompt"))
                taken.append(monotonic() - began)
                await asyncio.sleep(0.01)
            lines = [json.loads(line)["message"] for line in server.log.read_text().splitlines()]
            return sorted(taken), [int(found[1]) for line in lines if (found := STALL.search(line))]

    taken, stalls = asyncio.run(whole())
    print(f"p50 {taken[100] * 1000:.1f} ms, p99 {taken[197] * 1000:.1f} ms, longest {taken[-1] * 1000:.1f} ms")
    assert taken[100] < 0.05  # half of them, for on a busy machine a few wait for a core
    assert len(stalls) <= 1, stalls  # the server tells of those of 250 ms and more
