"""What every executor must do (engine.jobs.executor), as tests over toy programs; an implementation subclasses this."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import pytest

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
from engine.jobs.executor import Executor
from engine.jobs.job import Attempt
from tests.unit.jobs.making import attempt_of, program

LONG = program(("Steps", {"count": 10_000}))


async def idle(executor: Executor) -> str:
    """The id of an idle worker, once there is one."""
    while True:
        found = [worker.id for worker in executor.workers() if worker.state == "idle"]
        if found:
            return found[0]
        await asyncio.wait_for(executor.changed(), 30)


async def run(executor: Executor, attempt: Attempt, at: Callable[[Event], Awaitable[Any]] | None = None) -> list[Event]:
    """All events of an attempt; `at` is awaited for each."""
    events = []
    async for event in executor.run(await idle(executor), attempt):
        events.append(event)
        if at is not None:
            await at(event)
    return events


class ExecutorConformance:
    """`make` gives a new executor with one worker that dies of `Freeze` within a second."""

    def make(self) -> Executor:
        raise NotImplementedError

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Executor]:
        executor = self.make()
        await executor.start()
        try:
            yield executor
        finally:
            await executor.stop()

    def run(self, prompt: str, at: Callable[[Executor, Attempt, Event], Awaitable[Any]] | None = None) -> list[Event]:
        async def whole() -> list[Event]:
            async with self.started() as executor:
                attempt = attempt_of(prompt)
                return await run(executor, attempt, at and (lambda event: at(executor, attempt, event)))

        return asyncio.run(whole())

    def test_events_come_in_order_and_end_once(self) -> None:
        events = self.run(program(("Say", {}), ("Save", {"name": "a.png"})))
        assert [type(event) for event in events] == [
            *(Started, NodeStarted, NodeFinished, NodeStarted, NodeFinished, Done),
        ]
        saved = events[4]
        assert isinstance(saved, NodeFinished)
        assert saved.files[0].filename == "a.png"

    def test_a_failure_is_told_with_its_node(self) -> None:
        assert self.run(program(("Fail", {})))[-1] == Failed("user", "it failed", "ValueError", "1", "Fail")

    @pytest.mark.parametrize("misdeed", ["Exit", "Segfault"])
    def test_a_worker_that_dies_loses_its_attempt_and_the_job_is_blamed(self, misdeed: str) -> None:
        end = self.run(program((misdeed, {})))[-1]
        assert isinstance(end, Lost)
        assert end.blamed

    def test_a_frozen_worker_is_replaced_and_the_job_is_blamed(self) -> None:
        end = self.run(program(("Freeze", {"seconds": 60})))[-1]
        assert isinstance(end, Lost)
        assert end.blamed
        assert "frozen" in end.reason

    def test_the_next_attempt_runs_after_a_death(self) -> None:
        async def whole() -> list[Event]:
            async with self.started() as executor:
                await run(executor, attempt_of(program(("Exit", {}))))
                return await run(executor, attempt_of(program(("Say", {}))))

        assert isinstance(asyncio.run(whole())[-1], Done)

    def test_a_cancelled_attempt_stops_at_its_next_step(self) -> None:
        async def at(executor: Executor, attempt: Attempt, event: Event) -> None:
            if isinstance(event, Progress):
                await executor.cancel(attempt)

        assert isinstance(self.run(LONG, at)[-1], Stopped)

    def test_a_node_that_does_not_listen_is_killed_after_a_while_and_not_blamed(self) -> None:
        async def at(executor: Executor, attempt: Attempt, event: Event) -> None:
            if isinstance(event, NodeStarted):
                await executor.cancel(attempt, hard_after=0.2)

        began = monotonic()
        assert isinstance(self.run(program(("Deaf", {"seconds": 60})), at)[-1], Stopped)
        assert monotonic() - began < 30

    def test_cancelling_one_attempt_never_hits_the_next(self) -> None:
        async def whole() -> list[Event]:
            async with self.started() as executor:
                first = attempt_of(program(("Say", {})))
                await run(executor, first)
                second = attempt_of(program(("Steps", {"count": 20})))

                async def at(event: Event) -> None:
                    await executor.cancel(first, hard_after=0.05)

                return await run(executor, second, at)

        assert isinstance(asyncio.run(whole())[-1], Done)

    def test_a_worker_that_is_not_idle_takes_no_attempt(self) -> None:
        async def whole() -> Event:
            async with self.started() as executor:
                worker = await idle(executor)
                running = executor.run(worker, attempt_of(LONG))
                await anext(running)
                return [event async for event in executor.run(worker, attempt_of(LONG))][-1]

        end = asyncio.run(whole())
        assert isinstance(end, Lost)
        assert not end.blamed

    def test_stopping_loses_what_runs_without_blame(self) -> None:
        async def whole() -> Event:
            executor = self.make()
            await executor.start()
            running = executor.run(await idle(executor), attempt_of(LONG))
            await anext(running)
            await executor.stop()
            return [event async for event in running][-1]

        end = asyncio.run(whole())
        assert isinstance(end, Lost)
        assert not end.blamed

    def test_a_flood_of_events_arrives_in_order_with_the_last_one(self) -> None:
        events = self.run(program(("Flood", {"count": 20_000})))
        steps = [event.value for event in events if isinstance(event, Progress)]
        assert steps == sorted(steps)
        assert steps[-1] == 20_000
        assert sum(isinstance(event, ENDS) for event in events) == 1

    def test_validators_are_asked_in_the_worker(self) -> None:
        async def whole() -> Any:
            async with self.started() as executor:
                await idle(executor)
                return await executor.check(program(("Say", {})), ["1"])

        assert asyncio.run(whole()) == [{"node": "1", "message": "no"}]

    def test_jobs_that_wait_may_be_told_of_at_any_time(self) -> None:
        waiting = [attempt_of(program(("Say", {}))).job for _ in range(2)]

        async def tell(executor: Executor, _attempt: Attempt, _event: Event) -> None:
            await executor.foresee(waiting)

        assert isinstance(self.run(program(("Say", {}), ("Steps", {"count": 3})), tell)[-1], Done)
