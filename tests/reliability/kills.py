"""Clients that submit without a pause while server and worker are killed, and the account at the end (R1, R2)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
from aiohttp import ClientSession

from tests.reliability.server_process import GONE, ServerProcess, check_disk, get, session, submit
from tests.unit.jobs.kill_points import SERVER_PLACES, WORKER_PLACES

CLIENTS = 3
PATIENCE = 0.5
"""Seconds that a kill at a chosen place may take to come; it counts only if it came."""


def toy_prompt(random: Random) -> dict[str, Any]:
    """A small job: one to three files, with some steps before them in some."""
    name = f"{random.randrange(100)}/a.png"  # a hundred folders, since a saver looks through the whole of its own
    nodes: list[tuple[str, dict[str, Any]]] = [("Save", {"name": name})] * random.randint(1, 3)
    if random.random() < 0.2:
        nodes.insert(0, ("Steps", {"count": random.randint(1, 8)}))
    return {str(i): {"class_type": t, "inputs": inputs} for i, (t, inputs) in enumerate(nodes, 1)}


class Killing:
    """One run: clients, a killer, and a log of what was acknowledged."""

    def __init__(
        self,
        server: ServerProcess,
        kills: int,
        seed: int,
        prompt: Any = toy_prompt,
        *,
        places: bool = True,
        idle: tuple[float, float] = (0.01, 0.08),
    ) -> None:
        """`places`: also kill at chosen places, which only the toys know. `idle`: seconds between a client's jobs."""
        self.server = server
        self.kills = kills
        self.by: Counter[str] = Counter()
        self._random = Random(seed)
        self._prompt = prompt
        self._idle = idle
        self._ways = ("server", "worker", *("server place", "worker place", "worker place")[: 3 * places])
        self._over = asyncio.Event()
        self._log = (server.base / "acknowledged.log").open("a")

    async def run(self, pause: tuple[float, float] = (0.0, 0.4)) -> dict[str, int]:
        """Kill until it is enough, let the queue run empty, and look at what is there."""
        await self.server.start()
        async with session() as client:
            clients = [asyncio.create_task(self._submit(client, number)) for number in range(CLIENTS)]
            try:
                while sum(self.by.values()) < self.kills:
                    await asyncio.sleep(self._random.uniform(*pause))
                    await self._kill_one()
                    if not self.server.alive:
                        await self.server.kill()
                        await self.server.start()
            finally:
                self._over.set()
                await asyncio.gather(*clients)
                self._log.close()
            await self.server.drained(client, 600)
            acknowledged = self._acknowledged()
            history = await get(client, f"{self.server.url}/history")
            wrong = [job for job in acknowledged if history[job]["status"]["status_str"] != "success"]
            assert not wrong
        await self.server.kill()
        return {"kills": sum(self.by.values()), "acknowledged": len(acknowledged)} | check_disk(
            self.server.base, acknowledged
        )

    async def _kill_one(self) -> None:
        way = self._random.choice(self._ways)
        if way == "server":
            await self.server.kill()
        elif way == "worker":
            workers = self.server.workers()
            if not workers:
                return
            with suppress(psutil.NoSuchProcess):
                workers[0].kill()
        else:
            way = self._random.choice(SERVER_PLACES if way == "server place" else WORKER_PLACES)
            if not await self._kill_at(way):
                return
        self.by[way] += 1

    async def _kill_at(self, place: str) -> bool:
        """Let whoever comes to a place next die there. Whether somebody did."""
        file = self.server.kill_file
        draft = file.with_name("kill.new")
        draft.write_text(place, "ascii")
        draft.replace(file)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while file.exists():
                    await asyncio.sleep(0.005)
                return True
        try:
            file.unlink()
        except FileNotFoundError:
            return True
        return False

    async def _submit(self, client: ClientSession, number: int) -> None:
        """Submit one job after another, each until it is acknowledged; sometimes give up on one that got no answer."""
        random = Random(number)
        count = 0
        while not self._over.is_set():
            count += 1
            job, prompt = f"client{number}-{count}", self._prompt(random)
            while not self._over.is_set():
                try:
                    status = await submit(client, self.server.url, job, prompt)
                except GONE:
                    await asyncio.sleep(0.05)
                    if random.random() < 0.1:
                        break
                    continue
                assert status in (200, 503), status
                if status == 200:
                    self._log.write(f"{job}\n")
                    self._log.flush()
                    os.fsync(self._log.fileno())
                    break
            await asyncio.sleep(random.uniform(*self._idle))

    def _acknowledged(self) -> set[str]:
        return set(Path(self._log.name).read_text().split())
