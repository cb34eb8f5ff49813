"""The dispatcher: gives waiting jobs to idle workers, and writes down what comes of them.

It alone talks to the job store and to the executor. A job is first ended on disk, then announced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias, TypeVar

from engine.compat.wire import Message
from engine.foundation.errors import EaselError
from engine.jobs.committer import Committer, StoreUnavailableError
from engine.jobs.events import ENDS, Done, Event, Failed, Lost, Stopped
from engine.jobs.executor import Executor
from engine.jobs.job import Attempt, Ending, Job, NewJob, State
from engine.jobs.record import Record
from engine.jobs.store import JobStore

T = TypeVar("T")
STORE_RETRY_SECONDS = 1.0
AHEAD = 4  # jobs: what is used later than these need not stay for them
_ATTEMPT_BITS = 24
UNWRITABLE = Ending("failed", {}, [], {"type": "unwritable", "message": "the result cannot be written down"})
_log = logging.getLogger(__name__)


class ShuttingDownError(EaselError):
    """The server is about to end and takes no more jobs."""

    code: ClassVar[str] = "shutting_down"


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """So many jobs wait or run now."""

    remaining: int


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something happened in an attempt. `number` rises within a job, over all its attempts; `milestones` of it."""

    job: Job
    number: int
    event: Event
    milestones: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job has ended, and that is on disk."""

    job: Job
    number: int
    milestones: tuple[Message, ...] = ()


Notice: TypeAlias = QueueChanged | JobEvent | JobEnded
Listener: TypeAlias = Callable[[Notice], None]


@dataclass(slots=True, eq=False)
class Run:
    """An attempt on its way: what is known of it, and whether it was told to stop, to be cancelled or to wait again."""

    attempt: Attempt
    record: Record
    cancelled: bool = False
    requeue: bool = False
    events: int = field(default=0)

    def next_number(self) -> int:
        """The number of the next event; later attempts count on where no earlier one can have been."""
        self.events += 1
        return (self.attempt.number << _ATTEMPT_BITS) + self.events


class Dispatcher:
    """Drives the queue; every listener hears every notice, in order."""

    def __init__(self, committer: Committer, executor: Executor) -> None:
        self.listeners: list[Listener] = []
        self._committer = committer
        self._executor = executor
        self._runs: dict[str, Run] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._queue_changed = asyncio.Event()
        self._draining = False
        self._remaining = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def draining(self) -> bool:
        """Whether no more jobs are taken."""
        return self._draining

    @property
    def runs(self) -> Sequence[Run]:
        """The attempts that run now."""
        return list(self._runs.values())

    async def start(self) -> None:
        """Put jobs that an earlier process left running back into the queue, then begin."""
        recovered = await self._persist(JobStore.recover)
        for job_id in recovered:
            _log.warning("the job was running when the server ended; it will run again", extra={"job": job_id})
        await self._announce_queue()
        self._tasks = [asyncio.create_task(work()) for work in (self._dispatch, self._relay, self._look_ahead)]

    async def submit(self, new: NewJob) -> Job:
        """Queue a job; when this returns it is on disk. Raises what `JobStore.enqueue` does, or `ShuttingDownError`."""
        if self._draining:
            raise ShuttingDownError("the server is shutting down", hint="Send the job again in a moment.")
        return await self.change(lambda store: store.enqueue(new))

    async def interrupt(self, job_id: str | None = None) -> None:
        """Stop the job called `job_id` if it runs now; None stops whatever runs."""
        for run in self.runs:
            if job_id in (None, run.attempt.job.id):
                run.cancelled = True
                await self._executor.cancel(run.attempt)
                with contextlib.suppress(StoreUnavailableError):  # it is told; only a loss just now is not covered
                    await self.cancel(run.attempt.job.id)

    async def cancel(self, job_id: str) -> State | None:
        """Cancel a job, waiting or running. Answers the state it was in, None if there is no such job."""
        state = await self._committer.do(lambda store: store.cancel(job_id))
        if state == "running":
            for run in self.runs:
                if run.attempt.job.id == job_id:
                    run.cancelled = True
                    await self._executor.cancel(run.attempt)
        elif state == "pending":
            job = await self._committer.do(lambda store: store.get(job_id))
            self._tell(JobEnded(job, (job.attempt + 1) << _ATTEMPT_BITS))
            await self._announce_queue()
        return state

    async def change(self, work: Callable[[JobStore], T]) -> T:
        """Change the queue (add, remove, retry, reorder, pause, forget) and let everybody see it.

        That is done to its end even if the client that asked for it goes away.
        """
        return await asyncio.shield(self._change(work))

    async def _change(self, work: Callable[[JobStore], T]) -> T:
        answer, remaining = await self._committer.do(lambda store: (work(store), store.unfinished()))
        self._tell(QueueChanged(remaining))
        self._wake.set()
        return answer

    async def look(self, work: Callable[[JobStore], T]) -> T:
        """What `work` reads in the store."""
        return await self._committer.do(work)

    async def drain(self, grace: float) -> None:
        """Take no more jobs; let those that run finish for `grace` seconds, then put them back into the queue."""
        if self._draining:
            return
        self._draining = True
        serving = list(self._serving.values())
        if serving and grace > 0:
            await asyncio.wait(serving, timeout=grace)
        for run in self.runs:
            run.requeue = not run.cancelled
            await self._executor.cancel(run.attempt, hard_after=1.0)
        if serving:
            await asyncio.wait(serving, timeout=3.0)
        for task in (*self._tasks, *self._serving.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *serving, return_exceptions=True)

    async def _dispatch(self) -> None:
        """Whenever something may have changed, let every idle worker look for a job."""
        while True:
            self._wake.clear()
            for worker in self._executor.workers():
                if worker.state == "idle" and worker.id not in self._serving and not self._draining:
                    task = asyncio.create_task(self._serve(worker.id))
                    self._serving[worker.id] = task
            await self._wake.wait()

    async def _relay(self) -> None:
        while True:
            await self._executor.changed()
            self._wake.set()

    async def _look_ahead(self) -> None:
        """Whenever the queue changed while jobs run, tell the workers what comes next."""
        while True:
            await self._queue_changed.wait()
            self._queue_changed.clear()
            if self._runs:
                with contextlib.suppress(StoreUnavailableError):
                    await self._executor.foresee(await self._committer.do(lambda store: store.next(AHEAD)))

    async def _serve(self, worker: str) -> None:
        """Run jobs on a worker until none waits or the worker is gone."""
        again = False
        try:
            attempt = await self._persist(lambda store: store.claim(worker))
            while attempt is not None:
                attempt = await self._run(worker, attempt)
            again = await self._committer.do(lambda store: store.waiting() > 0 and not store.paused())
        except StoreUnavailableError:
            again = True
        finally:
            del self._serving[worker]
            if again and any(info.id == worker and info.state == "idle" for info in self._executor.workers()):
                self._wake.set()  # a job came between the last claim and now

    async def _run(self, worker: str, attempt: Attempt) -> Attempt | None:
        """Run an attempt to its end. The next one, if the worker can take it."""
        run = self._runs[worker] = Run(attempt, Record(attempt))
        self._tell(QueueChanged(self._remaining))  # one waits less and one runs more, which clients want to hear of
        try:
            async for event in self._executor.run(worker, attempt):
                if isinstance(event, ENDS):
                    return await self._end(worker, run, event)
                self._tell(JobEvent(attempt.job, run.next_number(), event, tuple(run.record.see(event))))
        finally:
            self._runs.pop(worker, None)
        return None

    async def _end(self, worker: str, run: Run, event: Done | Failed | Stopped | Lost) -> Attempt | None:
        """Write an attempt's end, claim the next job in the same commit, and tell of both."""
        if isinstance(event, Lost) and run.cancelled and not run.requeue:
            event = Stopped(run.record.node)
        waits_again = (isinstance(event, Stopped) and run.requeue) or (isinstance(event, Lost) and not event.blamed)
        milestones = tuple(run.record.see(event))
        ending = run.record.ending(event)
        healthy = not isinstance(event, Lost) and not self._draining

        def write(store: JobStore) -> tuple[Job | None, int, Attempt | None]:
            if waits_again:
                store.requeue(run.attempt)
            elif isinstance(event, Lost):
                store.lost(run.attempt, ending)
            else:
                store.complete(run.attempt, ending)
            job, remaining = store.find(run.attempt.job.id), store.unfinished()
            return job, remaining, store.claim(worker) if healthy else None

        try:
            job, remaining, following = await self._persist(write)
        except Exception:  # noqa: BLE001  # the border: what an attempt gave may not fit into the store
            _log.exception("what the job gave cannot be written down", extra={"job": run.attempt.job.id})
            ending, waits_again, event = UNWRITABLE, False, Stopped()
            milestones = ()
            job, remaining, following = await self._persist(write)
        self._runs.pop(worker, None)
        if job is not None and job.state == "cancelled" and not isinstance(event, Stopped):
            milestones = tuple(run.record.see(Stopped(run.record.node)))  # the cancel came at the last moment
        if job is not None and job.final and job.attempt == run.attempt.number:
            self._tell(JobEnded(job, run.next_number(), milestones))
        self._tell(QueueChanged(remaining))
        return following

    async def _persist(self, work: Callable[[JobStore], T]) -> T:
        """`work`, however long the store takes to be usable again: results that are there must not be lost."""
        while True:
            try:
                return await self._committer.do(work)
            except StoreUnavailableError as error:
                _log.error("%s; trying again", error)
                await asyncio.sleep(STORE_RETRY_SECONDS)

    async def _announce_queue(self) -> None:
        self._tell(QueueChanged(await self._committer.do(JobStore.unfinished)))

    def _tell(self, notice: Notice) -> None:
        if isinstance(notice, QueueChanged):
            self._remaining = notice.remaining
            self._queue_changed.set()
        for listener in self.listeners:
            try:
                listener(notice)
            except Exception:  # noqa: BLE001  # the border: a listener must not hurt a job
                _log.exception("a listener failed on %s", type(notice).__name__)
