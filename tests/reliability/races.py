"""Random interleavings of submit, cancel, interrupt and deaths of workers, over an executor in the loop (R9)."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from engine.jobs.committer import Committer
from engine.jobs.dispatcher import Dispatcher, JobEnded, Notice
from engine.jobs.store import JobStore
from tests.unit.jobs.fake_executor import FakeExecutor
from tests.unit.jobs.making import new_job, program

PROGRAMS = (
    program(("Say", {})),
    program(("Steps", {"count": 3})),
    program(("Steps", {"count": 30})),
    program(("Fail", {})),
    program(("Exit", {})),
)


class Races:
    """One queue over two workers, and what each cancel was answered."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.answers: Counter[str] = Counter()
        self._random = Random(seed)
        self._path = folder / "jobs.sqlite3"
        self._programs: dict[str, str] = {}
        self._cancelled: dict[str, tuple[str | None, int]] = {}
        """What a cancel was answered, and how many attempts of its job had begun by then."""
        self._ended: Counter[str] = Counter()

    async def run(self, cancels: int) -> Counter[str]:
        """Race until so many cancels were tried; then every job must be where it belongs."""
        committer = Committer(self._path, max_history=10**9)
        self.executor = FakeExecutor(2)
        self.dispatcher = Dispatcher(committer, self.executor)
        self.dispatcher.listeners.append(self._hear)
        await self.executor.start()
        await self.dispatcher.start()
        try:
            while sum(self.answers.values()) < cancels:
                await asyncio.gather(*(self._act() for _ in range(8)))
                if self._random.random() < 0.1:
                    await self._empty()
            await self._empty()
            await self._judge()
        finally:
            await self.dispatcher.drain(0.0)
            await self.executor.stop()
            await asyncio.to_thread(committer.close)
        return self.answers

    def _hear(self, notice: Notice) -> None:
        if isinstance(notice, JobEnded):
            self._ended[notice.job.id] += 1

    async def _act(self) -> None:
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)
        choice = self._random.random()
        if choice < 0.45:
            new = new_job(prompt=self._random.choice(PROGRAMS))
            self._programs[new.id] = new.prompt
            await self.dispatcher.submit(new)
        elif choice < 0.9 and self._programs:
            await self._cancel(self._random.choice(list(self._programs)[-12:]))
        else:
            name = self._random.choice(("w1", "w2"))
            self.executor.die(name, blamed=self._random.random() < 0.3)

    async def _cancel(self, job: str) -> None:
        if job in self._cancelled:
            return
        self._cancelled[job] = (None, 0)
        answer = await self.dispatcher.cancel(job)
        self._cancelled[job] = (answer, self._attempts(job))
        self.answers[answer or "none"] += 1

    def _attempts(self, job: str) -> int:
        return sum(key[0] == job for key in self.executor.began)

    async def _empty(self) -> None:
        while await self.dispatcher.look(JobStore.unfinished):
            await asyncio.sleep(0.001)

    async def _judge(self) -> None:
        jobs, _ = await self.dispatcher.look(lambda store: store.jobs())
        states: dict[str, Any] = {job.id: job.state for job in jobs}
        began = Counter(job for job, _ in self.executor.began)
        for job, text in self._programs.items():
            answer, attempts = self._cancelled.get(job, (None, 0))
            allowed = {"done", "quarantined"} if text != PROGRAMS[3] else {"failed", "quarantined"}
            if answer == "pending":
                allowed = {"cancelled"}
            elif answer == "running":
                allowed |= {"cancelled"}
            assert states[job] in allowed, (job, answer, states[job])
            assert answer not in ("pending", "running") or began[job] == attempts, f"{job} ran again after its cancel"
            assert self._ended[job] == 1, (job, self._ended[job])
