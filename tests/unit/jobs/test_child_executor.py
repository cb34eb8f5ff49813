from __future__ import annotations

import asyncio
import os
import signal

import pytest

from engine.jobs.child import Launch, Limits
from engine.jobs.children import ChildExecutor
from engine.jobs.events import Done, Event, Lost, NodeStarted, Stopped
from engine.jobs.executor import Executor
from engine.jobs.job import Attempt
from tests.unit.jobs.conformance import LONG, ExecutorConformance, idle, run
from tests.unit.jobs.making import attempt_of, program, toy_executor


class TestChildExecutor(ExecutorConformance):
    def make(self) -> ChildExecutor:
        return toy_executor(limits=Limits(silence=2.5))

    def test_a_worker_killed_from_outside_is_not_the_jobs_fault(self) -> None:
        async def at(executor: Executor, attempt: Attempt, event: Event) -> None:
            if isinstance(event, NodeStarted):
                os.kill(_pid(executor), signal.SIGKILL)

        end = self.run(LONG, at)[-1]
        assert isinstance(end, Lost)
        assert not end.blamed
        assert "SIGKILL" in end.reason

    def test_a_job_without_a_sign_of_life_is_ended(self) -> None:
        async def whole() -> Event:
            executor = toy_executor(limits=Limits(stall=0.3))
            await executor.start()
            try:
                return (await run(executor, attempt_of(program(("Deaf", {"seconds": 60})))))[-1]
            finally:
                await executor.stop()

        end = asyncio.run(whole())
        assert isinstance(end, Lost)
        assert end.blamed
        assert "no sign of life" in end.reason

    @pytest.mark.parametrize(("misdeed", "reason"), [("Nonsense", "no message"), ("Close", "closed its output")])
    def test_a_worker_that_cannot_be_understood_is_replaced_and_the_job_is_blamed(
        self, misdeed: str, reason: str
    ) -> None:
        async def whole() -> tuple[Event, Event]:
            async with self.started() as executor:
                first = (await run(executor, attempt_of(program((misdeed, {})))))[-1]
                return first, (await run(executor, attempt_of(program(("Say", {})))))[-1]

        end, following = asyncio.run(whole())
        assert isinstance(end, Lost)
        assert end.blamed
        assert reason in end.reason
        assert isinstance(following, Done)

    def test_a_job_that_a_dying_worker_never_took_is_not_blamed(self) -> None:
        async def whole() -> Event:
            async with self.started() as executor:
                worker, pid = await idle(executor), _pid(executor)
                os.kill(pid, signal.SIGSTOP)  # so that no thread of it reads the job before the other signal comes
                os.kill(pid, signal.SIGSEGV)
                asyncio.get_running_loop().call_later(0.1, os.kill, pid, signal.SIGCONT)
                return [event async for event in executor.run(worker, attempt_of(program(("Say", {}))))][-1]

        end = asyncio.run(whole())
        assert isinstance(end, Lost)
        assert not end.blamed

    def test_a_worker_that_cannot_be_started_is_tried_again(self, caplog: pytest.LogCaptureFixture) -> None:
        async def whole() -> str:
            launch = Launch(("/nowhere/worker",), {})
            executor = ChildExecutor({"toy": launch}, Limits(first_restart=0.01, longest_restart=0.02))
            await executor.start()
            while caplog.text.count("cannot be started") < 3:
                await asyncio.sleep(0.01)
            await executor.stop()
            return executor.workers()[0].state

        assert asyncio.run(whole()) == "gone"

    def test_a_worker_ends_with_the_pipe_that_feeds_it(self) -> None:
        async def whole() -> int:
            executor = self.make()
            await executor.start()
            await idle(executor)
            process = executor._children["toy"]._process
            assert process is not None
            assert process.stdin is not None
            process.stdin.close()
            return await asyncio.wait_for(process.wait(), 10)

        assert asyncio.run(whole()) == 0

    def test_two_devices_run_two_attempts_at_once(self) -> None:
        async def whole() -> list[Event]:
            executor = toy_executor("a", "b")
            await executor.start()
            try:
                while not all(worker.state == "idle" for worker in executor.workers()):
                    await executor.changed()
                first = executor.run("a", attempt_of(LONG))
                await anext(first)
                return [event async for event in executor.run("b", attempt_of(program(("Say", {}))))]
            finally:
                await executor.stop()

        assert isinstance(asyncio.run(whole())[-1], Done)

    def test_a_kill_that_was_asked_for_by_a_cancel_reads_as_stopped(self) -> None:
        async def at(executor: Executor, attempt: Attempt, event: Event) -> None:
            await executor.cancel(attempt, hard_after=0.0)

        assert isinstance(self.run(program(("Freeze", {"seconds": 60})), at)[-1], Stopped)

    def test_the_memory_of_a_worker_is_known_from_its_beats(self) -> None:
        async def whole() -> Executor:
            async with self.started() as executor:
                await idle(executor)
                assert executor.workers()[0].about == {"type": "toy"}
                return executor

        assert asyncio.run(whole()).workers()[0].state == "gone"


def _pid(executor: Executor) -> int:
    assert isinstance(executor, ChildExecutor)
    process = executor._children["toy"]._process
    assert process is not None
    return process.pid
