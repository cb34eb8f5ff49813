"""The executor of one machine: a child process for each device."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from itertools import count
from typing import Any

from engine.jobs.child import Child, Launch, Limits
from engine.jobs.events import ENDS, Event, Lost
from engine.jobs.executor import HARD_AFTER, WorkerInfo
from engine.jobs.job import Attempt, Job

CHECK_SECONDS = 3.0
STOP_SECONDS = 5.0


class ChildExecutor:
    """Runs attempts in child processes; `launches` says how to start the worker of each device."""

    def __init__(self, launches: Mapping[str, Launch], limits: Limits | None = None) -> None:
        self._changes = asyncio.Event()
        self._ready = asyncio.Event()
        limits = limits or Limits()
        self._children = {
            device: Child(device, launch, limits, self._changes.set, self._ready.set)
            for device, launch in launches.items()
        }
        self._numbers = count(1)
        self._lives: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> asyncio.Event:
        """Set whenever a worker has loaded what it needs."""
        return self._ready

    async def start(self) -> None:
        """Start the processes."""
        self._lives = [asyncio.create_task(child.keep()) for child in self._children.values()]

    def workers(self) -> Sequence[WorkerInfo]:
        """Every worker, as it is now."""
        return [child.info for child in self._children.values()]

    async def changed(self) -> None:
        """Return when a worker joined, became idle or was lost since the last call."""
        await self._changes.wait()
        self._changes.clear()

    async def run(self, worker: str, attempt: Attempt) -> AsyncIterator[Event]:
        """The events of an attempt; a worker that is not idle answers `Lost` without blame."""
        child = self._children[worker]
        if child.state != "idle":
            yield Lost(f"worker {worker} is {child.state}", blamed=False)
            return
        child.begin(attempt)
        events = child.events
        while True:
            event = await events.get()
            yield event
            if isinstance(event, ENDS):
                return

    async def cancel(self, attempt: Attempt, hard_after: float = HARD_AFTER) -> None:
        """Ask the worker to stop the attempt; replace the worker if it has not after `hard_after` seconds."""
        child = self._running(attempt)
        if child is not None:
            child.send({"do": "cancel", "job": attempt.job.id, "attempt": attempt.number})
            self._in_background(self._insist(attempt, hard_after))

    async def free(self, *, models: bool, cache: bool) -> None:
        """Let the workers drop models, or everything they keep."""
        for child in self._children.values():
            child.send({"do": "free", "models": models, "cache": cache})

    async def foresee(self, waiting: Sequence[Job]) -> None:
        """Tell the workers which jobs wait, the next one first."""
        for child in self._children.values():
            child.foresee(waiting)

    async def check(self, prompt: str, targets: Sequence[str]) -> list[dict[str, Any]] | None:
        """What the validators of the prompt's nodes object to; None if no worker answers soon."""
        for child in self._children.values():
            if child.state in ("idle", "busy"):
                with contextlib.suppress(TimeoutError):
                    return await asyncio.wait_for(child.check(next(self._numbers), prompt, targets), CHECK_SECONDS)
        return None

    async def stop(self) -> None:
        """End the processes."""
        await asyncio.gather(*(child.stop() for child in self._children.values()))
        if self._lives:
            await asyncio.wait(self._lives, timeout=STOP_SECONDS)
        for task in (*self._lives, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._lives, *self._tasks, return_exceptions=True)

    def _running(self, attempt: Attempt) -> Child | None:
        for child in self._children.values():
            if child.attempt is not None and child.attempt.key == attempt.key:
                return child
        return None

    async def _insist(self, attempt: Attempt, after: float) -> None:
        await asyncio.sleep(after)
        child = self._running(attempt)
        if child is not None:
            child.kill("cancelled")

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
