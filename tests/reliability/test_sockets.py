"""Sockets that drop at any moment: every client still learns how each of its jobs ended (R10)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.unit.server.world import World, serving

PROGRAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "execution_success": ("Save", {"name": "a.png"}),
    "execution_error": ("Fail", {}),
    "done": ("Steps", {"count": 4}),
}
ENDS = {"execution_success": "done", "execution_error": "failed", "execution_interrupted": "cancelled"}
CLIENTS = 5


async def drop(socket: ClientWebSocketResponse, random: Random) -> None:
    """End a connection: politely, or by pulling the plug."""
    if random.random() < 0.3:
        await socket.close()
        return
    connection = socket._response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    with suppress(ConnectionError, RuntimeError):
        await socket.close()


class Listener:
    """A client of the community's socket, and of our own events, that keeps losing both."""

    def __init__(self, world: World, name: str, drops: int) -> None:
        self.world, self.name, self.drops = world, name, drops
        self.jobs: list[str] = []
        self.compat: dict[str, str] = {}
        self.own: dict[str, str] = {}
        self.repeated = 0
        self._follows: list[asyncio.Task[None]] = []
        self._random = Random(name)

    async def run(self) -> None:
        """Submit and drop; then listen until every job has ended here too."""
        for _ in range(self.drops):
            for _ in range(self._random.randint(1, 2)):
                kind = self._random.choice(list(PROGRAMS.values()))
                self.jobs.append(await self.world.queue(kind, client_id=self.name))
                self._follows.append(asyncio.create_task(self._follow(self.jobs[-1])))
            await self._listen(self._random.uniform(0.0, 0.05))
        async with asyncio.timeout(60):
            while set(self.compat) != set(self.jobs):
                await self._listen(0.5)
            await asyncio.gather(*self._follows)

    async def _listen(self, seconds: float) -> None:
        socket = await self.world.socket(self.name)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        self._take(json.loads(message.data))
                    if set(self.compat) == set(self.jobs):
                        break
        await drop(socket, self._random)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] in ENDS:
            job = message["data"]["prompt_id"]
            self.repeated += job in self.compat
            self.compat[job] = ENDS[message["type"]]

    async def _follow(self, job: str) -> None:
        """Read a job's events by number over sockets that drop; none may come twice or be missing."""
        after, seen = 0, list[int]()
        random = Random(job)
        while job not in self.own:
            socket = await self.world.client.ws_connect(f"/api/v1/jobs/{job}/events?after={after}")
            async for message in socket:
                event = json.loads(message.data)
                after = event["number"]
                seen.append(after)
                if event["event"] == "Ended":
                    self.own[job] = event["data"]["state"]
                if random.random() < 0.2:
                    break
            await drop(socket, random)
        assert seen == sorted(set(seen))
        assert seen[:1] == [(1 << 24) + 1]
        assert seen[-1] - seen[0] == len(seen) - 1


def lose_connections(folder: Path, drops: int) -> dict[str, int]:
    """Drop sockets so often; prints what was heard."""

    async def whole() -> dict[str, int]:
        async with serving(folder) as world:
            listeners = [Listener(world, f"client{number}", drops // CLIENTS) for number in range(CLIENTS)]
            await asyncio.gather(*(listener.run() for listener in listeners))
            jobs, _ = await world.state.dispatcher.look(lambda store: store.jobs())
            states = {job.id: job.state for job in jobs}
        heard: Counter[str] = Counter()
        for listener in listeners:
            for job in listener.jobs:
                assert (listener.compat[job], listener.own[job]) == (states[job], states[job])
                heard[states[job]] += 1
        return {"repeated": sum(listener.repeated for listener in listeners), **heard}

    account = asyncio.run(whole())
    print(account)
    return account


def test_every_client_learns_the_end_of_each_of_its_jobs_however_often_its_sockets_drop(tmp_path: Path) -> None:
    account = lose_connections(tmp_path, 50)
    assert account["done"] > 20
    assert account["failed"] > 5
