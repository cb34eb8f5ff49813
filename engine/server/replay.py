"""The numbered events of jobs, kept for a while so that who was away can read on from a number."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from engine.jobs.dispatcher import JobEnded, JobEvent, Notice
from engine.jobs.events import Preview, to_json
from engine.jobs.job import Job

MAX_JOBS = 500
MAX_EVENTS = 2_000


@dataclass(slots=True)
class _Told:
    """The latest events of a job. `dropped` is the number of the last one that is no longer here."""

    events: deque[dict[str, Any]] = field(default_factory=deque)
    dropped: int = 0
    ended: bool = False
    waiting: list[asyncio.Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """Events after a number. `complete` is False if some before these are gone; `ended` if no more will come."""

    events: list[dict[str, Any]]
    complete: bool
    ended: bool


class Replay:
    """A listener of the dispatcher that remembers."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, _Told] = OrderedDict()

    def __call__(self, notice: Notice) -> None:
        match notice:
            case JobEvent(job, number, event) if not isinstance(event, Preview):
                name, *values = to_json(event)
                fields = type(event).__dataclass_fields__
                self._add(job, number, name, dict(zip(fields, values, strict=True)))
            case JobEnded(job, number):
                self._add(job, number, "Ended", {"state": job.state}).ended = True

    def after(self, job_id: str, number: int) -> Page | None:
        """The events of a job with higher numbers, None if nothing is known of it."""
        told = self._jobs.get(job_id)
        if told is None:
            return None
        events = [event for event in told.events if event["number"] > number]
        return Page(events, number >= told.dropped, told.ended)

    async def more(self, job_id: str, after: int) -> None:
        """Return when there may be events of a job with a higher number than `after`."""
        told = self._jobs.setdefault(job_id, _Told())
        if told.ended or (told.events and told.events[-1]["number"] > after):
            return  # they came while the caller was busy with those before
        flag = asyncio.Event()
        told.waiting.append(flag)
        try:
            await flag.wait()
        finally:
            told.waiting.remove(flag)

    def _add(self, job: Job, number: int, name: str, data: dict[str, Any]) -> _Told:
        told = self._jobs.setdefault(job.id, _Told())
        told.ended = False
        self._jobs.move_to_end(job.id)
        told.events.append({"number": number, "event": name, "data": data})
        if len(told.events) > MAX_EVENTS:
            told.dropped = told.events.popleft()["number"]
        for flag in told.waiting:
            flag.set()
        while len(self._jobs) > MAX_JOBS and not next(iter(self._jobs.values())).waiting:
            self._jobs.popitem(last=False)
        return told
