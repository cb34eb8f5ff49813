"""The dispatcher over an executor in the loop: what is written down, and what is told, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.jobs.committer import Committer
from engine.jobs.dispatcher import Dispatcher, JobEnded, JobEvent, Notice, QueueChanged, ShuttingDownError
from engine.jobs.events import NodeStarted, Progress
from engine.jobs.store import JobStore
from tests.unit.jobs.fake_executor import FakeExecutor
from tests.unit.jobs.making import new_job, program

LONG = program(("Steps", {"count": 10**9}))
DEAF = program(("Deaf", {"seconds": 60}))


class Queue:
    """A dispatcher that runs, everything it told, and ways to wait for it."""

    def __init__(self, committer: Committer, workers: int) -> None:
        self.executor = FakeExecutor(workers)
        self.dispatcher = Dispatcher(committer, self.executor)
        self.notices: list[Notice] = []
        self.dispatcher.listeners.append(self._hear)
        self._some = asyncio.Event()

    def _hear(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._some.set()

    async def submit(self, prompt: str = program(("Say", {})), **more: Any) -> str:
        return (await self.dispatcher.submit(new_job(prompt=prompt, **more))).id

    async def heard(self, wanted: Callable[[Notice], bool]) -> Notice:
        async with asyncio.timeout(20):
            while not (found := [notice for notice in self.notices if wanted(notice)]):
                self._some.clear()
                await self._some.wait()
        return found[0]

    async def ended(self, job_id: str) -> str:
        await self.heard(lambda notice: isinstance(notice, JobEnded) and notice.job.id == job_id)
        return (await self.dispatcher.look(lambda store: store.get(job_id))).state

    async def at_work(self, job_id: str) -> None:
        await self.heard(lambda n: isinstance(n, JobEvent) and n.job.id == job_id and isinstance(n.event, NodeStarted))


def queue(folder: Path, work: Callable[[Queue], Awaitable[Any]], workers: int = 1) -> Any:
    async def whole() -> Any:
        committer = Committer(folder / "jobs.sqlite3")
        own = Queue(committer, workers)
        await own.executor.start()
        await own.dispatcher.start()
        try:
            return await asyncio.wait_for(work(own), 60)
        finally:
            await own.dispatcher.drain(0.0)
            await own.executor.stop()
            committer.close()

    return asyncio.run(whole())


def test_an_end_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    async def work(own: Queue) -> None:
        seen: list[str] = []

        def look(notice: Notice) -> None:
            if isinstance(notice, JobEnded):
                other = JobStore(tmp_path / "jobs.sqlite3")
                seen.append(other.get(notice.job.id).state)
                other.close()

        own.dispatcher.listeners.insert(0, look)
        await own.ended(await own.submit())
        assert seen == ["done"]

    queue(tmp_path, work)


def test_a_worker_hears_which_jobs_wait_and_of_every_change(tmp_path: Path) -> None:
    async def work(own: Queue) -> None:
        running = await own.submit(LONG)
        await own.at_work(running)
        first, second = await own.submit(), await own.submit()
        while await own.executor.foreseen.get() != [first, second]:
            pass
        await own.dispatcher.change(lambda store: store.reorder([second, first]))
        while await own.executor.foreseen.get() != [second, first]:
            pass
        await own.dispatcher.cancel(second)
        while await own.executor.foreseen.get() != [first]:
            pass

    queue(tmp_path, work)


def test_numbers_of_events_rise_over_all_attempts_of_a_job(tmp_path: Path) -> None:
    async def work(own: Queue) -> list[int]:
        job = await own.submit(program(("Say", {}), ("Exit", {})))
        assert await own.ended(job) == "quarantined"
        return [notice.number for notice in own.notices if isinstance(notice, JobEvent | JobEnded)]

    numbers = queue(tmp_path, work)
    assert numbers == sorted(set(numbers))
    assert {number >> 24 for number in numbers} == {1, 2}


def test_a_job_that_kills_its_worker_waits_behind_the_others_and_is_quarantined_the_second_time(tmp_path: Path) -> None:
    async def work(own: Queue) -> list[str]:
        await own.dispatcher.change(lambda store: store.pause(True))
        poison, innocent = await own.submit(program(("Exit", {}))), await own.submit()
        await own.dispatcher.change(lambda store: store.pause(False))
        assert await own.ended(poison) == "quarantined"
        assert await own.ended(innocent) == "done"
        order = [job for job, _ in own.executor.began]
        return ["poison" if job == poison else "innocent" for job in order]

    assert queue(tmp_path, work) == ["poison", "innocent", "poison"]


def test_losses_without_blame_never_quarantine(tmp_path: Path) -> None:
    async def work(own: Queue) -> tuple[str, int]:
        job = await own.submit(LONG)
        for number in range(1, 6):
            await own.heard(lambda n, at=number: isinstance(n, JobEvent) and n.number >> 24 == at)  # type: ignore[misc]
            own.executor.die("w1", blamed=False)
        await own.heard(lambda n: isinstance(n, JobEvent) and n.number >> 24 == 6)
        await own.dispatcher.cancel(job)
        state = await own.ended(job)
        return state, (await own.dispatcher.look(lambda store: store.get(job))).deaths

    assert queue(tmp_path, work) == ("cancelled", 0)


def test_a_job_that_was_cancelled_while_its_worker_died_does_not_run_again(tmp_path: Path) -> None:
    async def work(own: Queue) -> tuple[str, int]:
        job = await own.submit(DEAF)
        await own.at_work(job)
        own.executor.die("w1", blamed=True)
        await own.dispatcher.cancel(job)
        return await own.ended(job), len(own.executor.began)

    assert queue(tmp_path, work) == ("cancelled", 1)


def test_an_interrupt_while_the_worker_dies_holds_too(tmp_path: Path) -> None:
    async def work(own: Queue) -> tuple[str, int]:
        job = await own.submit(DEAF)
        await own.at_work(job)
        own.executor.die("w1", blamed=False)
        await asyncio.sleep(0)
        await own.dispatcher.interrupt()
        return await own.ended(job), len(own.executor.began)

    assert queue(tmp_path, work) == ("cancelled", 1)


def test_an_interrupt_of_one_job_leaves_the_one_beside_it(tmp_path: Path) -> None:
    async def work(own: Queue) -> tuple[str, list[str]]:
        jobs = [await own.submit(LONG), await own.submit(LONG)]
        for job in jobs:
            await own.at_work(job)
        await own.dispatcher.interrupt(jobs[0])
        return await own.ended(jobs[0]), [run.attempt.job.id == jobs[1] for run in own.dispatcher.runs]

    assert queue(tmp_path, work, workers=2) == ("cancelled", [True])


def test_a_cancelled_job_that_waits_is_told_as_ended(tmp_path: Path) -> None:
    async def work(own: Queue) -> list[str | None]:
        await own.dispatcher.change(lambda store: store.pause(True))
        job = await own.submit()
        answers = [await own.dispatcher.cancel(job), await own.dispatcher.cancel(job)]
        assert await own.ended(job) == "cancelled"
        return [*answers, await own.dispatcher.cancel("nobody")]

    assert queue(tmp_path, work) == ["pending", "cancelled", None]


def test_draining_takes_no_jobs_and_puts_back_what_runs(tmp_path: Path) -> None:
    async def work(own: Queue) -> None:
        job, waits = await own.submit(LONG), await own.submit()
        await own.at_work(job)
        draining = asyncio.create_task(own.dispatcher.drain(0.01))
        await asyncio.sleep(0)
        with pytest.raises(ShuttingDownError):
            await own.submit()
        await draining
        states = await own.dispatcher.look(lambda store: [store.get(name).state for name in (job, waits)])
        assert states == ["pending", "pending"]
        assert own.executor.began == [(job, 1)]

    queue(tmp_path, work)


def test_draining_lets_a_short_job_finish(tmp_path: Path) -> None:
    async def work(own: Queue) -> str:
        job = await own.submit(program(("Steps", {"count": 50})))
        await own.at_work(job)
        await own.dispatcher.drain(20.0)
        return (await own.dispatcher.look(lambda store: store.get(job))).state

    assert queue(tmp_path, work) == "done"


def test_jobs_that_ran_when_the_process_ended_run_again_at_the_start(tmp_path: Path) -> None:
    left = JobStore(tmp_path / "jobs.sqlite3")
    left.enqueue(new_job("ran"))
    left.enqueue(new_job("cancelled"))
    left.claim("w1")
    left.claim("w1")
    left.cancel("cancelled")
    left.close()

    async def work(own: Queue) -> list[Any]:
        assert await own.ended("ran") == "done"
        cancelled = await own.dispatcher.look(lambda store: store.get("cancelled").state)
        return [cancelled, own.executor.began]

    assert queue(tmp_path, work) == ["cancelled", [("ran", 2)]]


def test_a_result_that_does_not_fit_into_the_store_fails_its_job_and_the_queue_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(own: Queue) -> list[str]:
        bad = await own.submit(program(("Save", {"name": "\udc80"})))
        good = await own.submit()
        return [await own.ended(bad), await own.ended(good)]

    assert queue(tmp_path, work) == ["failed", "done"]
    assert "cannot be written down" in caplog.text


def test_a_listener_that_fails_hurts_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work(own: Queue) -> str:
        own.dispatcher.listeners.insert(0, lambda notice: 1 / 0)
        return await own.ended(await own.submit())

    assert queue(tmp_path, work) == "done"
    assert "a listener failed" in caplog.text


def test_everybody_hears_how_many_jobs_are_left(tmp_path: Path) -> None:
    async def work(own: Queue) -> list[int]:
        await own.ended(await own.submit())
        await own.heard(lambda notice: notice == QueueChanged(0) and len(own.notices) > 3)
        return [notice.remaining for notice in own.notices if isinstance(notice, QueueChanged)]

    told = queue(tmp_path, work)
    assert (told[0], max(told), told[-1]) == (0, 1, 0)


def test_a_job_stops_at_the_step_after_its_cancel(tmp_path: Path) -> None:
    async def work(own: Queue) -> int:
        job = await own.submit(LONG)
        await own.heard(lambda n: isinstance(n, JobEvent) and isinstance(n.event, Progress))
        await own.dispatcher.cancel(job)
        at = len([n for n in own.notices if isinstance(n, JobEvent)])
        await own.ended(job)
        return len([n for n in own.notices if isinstance(n, JobEvent)]) - at

    assert queue(tmp_path, work) <= 2
