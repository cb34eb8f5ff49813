"""An executor without processes: toy programs as tasks of the event loop, and workers that die when a test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.jobs.events import (
    ENDS,
    Done,
    Event,
    Failed,
    Lost,
    NodeFinished,
    NodeStarted,
    Progress,
    Started,
    Stopped,
)
from engine.jobs.executor import HARD_AFTER, WorkerInfo
from engine.jobs.job import Attempt, Job, Saved

DEATHS = {
    "Exit": "the worker ended with exit status 3",
    "Segfault": "the worker ended with SIGSEGV",
    "Freeze": "the worker was frozen for 0 s",
}


@dataclass(eq=False)
class _Worker:
    attempt: Attempt | None = None
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    work: asyncio.Task[None] | None = None
    stop: bool = False
    step: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False


class FakeExecutor:
    """Workers called `w1`, `w2`... . `began` records the key of each attempt, `foreseen` the jobs that were told of."""

    def __init__(self, workers: int = 1) -> None:
        self.ready = asyncio.Event()
        self.began: list[tuple[str, int]] = []
        self.foreseen: asyncio.Queue[list[str]] = asyncio.Queue()
        self._workers = {f"w{number}": _Worker() for number in range(1, workers + 1)}
        self._changes = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self.ready.set()
        self._changes.set()

    def workers(self) -> Sequence[WorkerInfo]:
        return [
            WorkerInfo(name, "fake", "gone" if worker.gone else "busy" if worker.attempt else "idle")
            for name, worker in self._workers.items()
        ]

    async def changed(self) -> None:
        await self._changes.wait()
        self._changes.clear()

    async def run(self, worker: str, attempt: Attempt) -> AsyncIterator[Event]:
        own = self._workers[worker]
        if own.attempt is not None or own.gone:
            yield Lost(f"worker {worker} is busy", blamed=False)
            return
        own.attempt, own.stop, own.events = attempt, False, asyncio.Queue()
        own.step.clear()
        self.began.append(attempt.key)
        own.work = self._spawn(self._work(own, attempt))
        events = own.events
        while True:
            event = await events.get()
            yield event
            if isinstance(event, ENDS):
                return

    async def cancel(self, attempt: Attempt, hard_after: float = HARD_AFTER) -> None:
        for worker in self._workers.values():
            if worker.attempt is not None and worker.attempt.key == attempt.key:
                worker.stop = True
                worker.step.set()
                self._spawn(self._insist(worker, attempt, hard_after))

    async def free(self, *, models: bool, cache: bool) -> None:
        pass

    async def foresee(self, waiting: Sequence[Job]) -> None:
        self.foreseen.put_nowait([job.id for job in waiting])

    async def check(self, prompt: str, targets: Sequence[str]) -> list[dict[str, Any]] | None:
        return [{"node": "1", "message": "no"}]

    async def stop(self) -> None:
        for worker in self._workers.values():
            worker.gone = True
            self._end(worker, Lost("the server stops", blamed=False))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def die(self, name: str, *, blamed: bool) -> None:
        """The worker dies now, under whatever it runs, and is there again at once."""
        self._end(self._workers[name], Lost("the worker died", blamed=blamed))

    async def _work(self, worker: _Worker, attempt: Attempt) -> None:
        for event in _events(json.loads(attempt.job.prompt)):
            if event is None:  # a node that does not poll: only a kill ends it
                await asyncio.Event().wait()
            elif isinstance(event, Progress) and worker.stop:
                return self._end(worker, Stopped(event.node, "Steps"))
            if worker.attempt is not attempt:
                return None
            if isinstance(event, ENDS):
                return self._end(worker, Stopped() if worker.stop and isinstance(event, Done) else event)
            assert event is not None
            worker.events.put_nowait(event)
            await asyncio.sleep(0)
        return None

    def _end(self, worker: _Worker, event: Event) -> None:
        if worker.attempt is not None:
            worker.attempt = None
            worker.events.put_nowait(event)
            if worker.work is not None and worker.work is not asyncio.current_task():
                worker.work.cancel()
        self._changes.set()

    async def _insist(self, worker: _Worker, attempt: Attempt, after: float) -> None:
        await asyncio.sleep(after)
        if worker.attempt is attempt:
            self._end(worker, Stopped())

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _events(prompt: dict[str, Any]) -> Iterator[Event | None]:
    """What a toy program tells; None where it does not listen any more."""
    yield Started(())
    for node, entry in prompt.items():
        kind, inputs = entry["class_type"], entry["inputs"]
        yield NodeStarted(node, kind)
        files: tuple[Saved, ...] = ()
        if kind in ("Steps", "Flood"):
            for step in range(inputs["count"]):
                yield Progress(node, step + 1, inputs["count"])
        elif kind == "Deaf":
            yield None
        elif kind == "Fail":
            yield Failed("user", "it failed", "ValueError", node, "Fail")
        elif kind in DEATHS:
            yield Lost(f"{DEATHS[kind]} at node {node}", blamed=True)
        elif kind == "Save":
            files = (Saved(node, inputs["name"], "", "output", 1, "00", "image/png"),)
        yield NodeFinished(node, {"images": [{"filename": file.filename} for file in files]} if files else None, files)
    yield Done()
