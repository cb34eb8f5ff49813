"""Thousands of jobs through one server: memory, files and threads stay where they were (R7)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession

from tests.reliability.server_process import ServerProcess, session, submit

pytestmark = pytest.mark.long

ROUNDS = 50
JOBS_A_ROUND = 200
MEBIBYTE = 2**20


async def one_round(server: ServerProcess, client: ClientSession, number: int) -> list[tuple[int, int, int]]:
    """Some jobs, with a socket that listens; then memory, open files and threads of server and worker."""
    async with client.ws_connect(f"{server.url}/ws?clientId=round{number}"):
        for job in range(JOBS_A_ROUND):
            nodes = {
                "1": {"class_type": "Flood", "inputs": {"count": 20}},
                "2": {"class_type": "Save", "inputs": {"name": f"{number}/a.png"}},
            }
            assert await submit(client, server.url, f"{number}-{job}", nodes, client_id=f"round{number}") == 200
        await server.drained(client, 120)
    processes = [psutil.Process(server.pid), *server.workers()]
    return [(item.memory_info().rss, item.num_fds(), item.num_threads()) for item in processes]


def test_thousands_of_jobs_leave_memory_files_and_threads_as_they_were(tmp_path: Path) -> None:
    async def whole() -> list[list[tuple[int, int, int]]]:
        server = ServerProcess(tmp_path, "--max-history", "500")
        await server.start()
        try:
            async with session() as client:
                return [await one_round(server, client, number) for number in range(ROUNDS)]
        finally:
            await server.kill()

    rounds = asyncio.run(whole())
    warm, last = rounds[ROUNDS // 4], rounds[-1]
    for name, before, after in zip(("server", "worker"), warm, last, strict=True):
        print(
            name, *(f"{label} {a} -> {b}" for label, a, b in zip(("rss", "fds", "threads"), before, after, strict=True))
        )
        assert after[0] - before[0] < 50 * MEBIBYTE
        assert after[1] <= before[1] + 5
        assert after[2] <= before[2] + 2
