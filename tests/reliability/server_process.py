"""A server as a process of its own, for tests that kill it; and what is left on disk when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
from aiohttp import ClientError, ClientSession, ClientTimeout

from tests.unit.jobs import kill_points
from tests.unit.jobs.making import ROOT

TOYS = ("-m", "tests.reliability.toy_server")
REAL = ("main.py", "serve")
GONE = (ClientError, ConnectionError, TimeoutError)
"""What a client meets when the server dies under it."""


class ServerProcess:
    """Starts a server over `base`, again and again, each time on a port that the system chooses."""

    def __init__(self, base: Path, *options: str, program: tuple[str, ...] = TOYS) -> None:
        self.base = base
        self.port = 0
        self.log = base / "server.log"
        self.kill_file = base / "kill"
        self.starts = 0
        self._argv = [sys.executable, *program, "--base-directory", str(base), *options]
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start, and return when it answers requests."""
        self.base.mkdir(parents=True, exist_ok=True)
        env = os.environ | {kill_points.VARIABLE: str(self.kill_file), "PYTHONUNBUFFERED": "1"}
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*self._argv, "--port", "0"],  # a port of before may be taken, even by a client that tried to reach it
                cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        said = await asyncio.to_thread(self._process.stdout.readline)
        assert said.startswith("Easel is at "), self.log.read_text()[-3000:]
        self.port = int(said.strip().rstrip("/").rpartition(":")[2])
        self.starts += 1

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, seconds: float = 30) -> int:
        """The exit status, once it has ended."""
        assert self._process is not None
        status = await asyncio.to_thread(self._process.wait, seconds)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def kill(self) -> None:
        """`kill -9`, if it lives."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self.ended()

    def workers(self) -> list[psutil.Process]:
        """The worker processes that live now."""
        with suppress(psutil.NoSuchProcess):
            return [child for child in psutil.Process(self.pid).children() if child.status() != psutil.STATUS_ZOMBIE]
        return []

    async def drained(self, session: ClientSession, seconds: float = 60) -> None:
        """Return when no job waits or runs."""

        async def wait() -> None:
            while (await get(session, f"{self.url}/prompt"))["exec_info"]["queue_remaining"]:
                await asyncio.sleep(0.05)

        await asyncio.wait_for(wait(), seconds)


def session() -> ClientSession:
    """A client whose requests end, whatever the server does."""
    return ClientSession(timeout=ClientTimeout(total=10))


async def get(session: ClientSession, url: str) -> Any:
    async with session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json(content_type=None)


async def submit(session: ClientSession, url: str, job: str, prompt: dict[str, Any], **more: Any) -> int:
    """Submit a prompt under an id. The status of the answer."""
    async with session.post(f"{url}/prompt", json={"prompt": prompt, "prompt_id": job} | more) as answer:
        await answer.read()
        return answer.status


def check_disk(base: Path, acknowledged: set[str]) -> dict[str, int]:
    """Hold the database and the files against what clients were promised. How many jobs, attempts and files there are.

    Every acknowledged job is done, by one attempt; its files are whole, and no node of a job has two.
    """
    with closing(sqlite3.connect(base / "user" / "jobs.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        states = dict(database.execute("SELECT id, state FROM jobs"))
        done = Counter(job for (job,) in database.execute("SELECT job FROM attempts WHERE outcome = 'done'"))
        attempts = database.execute("SELECT count(*) FROM attempts").fetchone()[0]
        sql = "SELECT job, node, subfolder, filename, size, sha256 FROM files WHERE type = 'output'"
        files = database.execute(sql).fetchall()
    lost = {job for job in acknowledged if states.get(job) != "done"}
    assert not lost, f"{len(lost)} acknowledged jobs are not done: {sorted(lost)[:5]}"
    assert all(done[job] == 1 for job, state in states.items() if state == "done")
    for job, node, subfolder, filename, size, digest in files:
        data = (base / "output" / subfolder / filename).read_bytes()
        assert (len(data), sha256(data).hexdigest()) == (size, digest), (job, node, filename)
    made = Counter(
        path.read_bytes().partition(b"\n")[0] for path in (base / "output").rglob("*.png") if path.name[0] != "."
    )
    doubled = [name for name, count in made.items() if count > 1]
    assert not doubled, f"{len(doubled)} results were written twice: {doubled[:5]}"
    return {"jobs": len(states), "attempts": attempts, "files": len(files), "on_disk": sum(made.values())}
