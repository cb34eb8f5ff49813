"""The contract between the dispatcher and whatever runs attempts: child processes here, a cluster elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from engine.jobs.events import Event
from engine.jobs.job import Attempt, Job

HARD_AFTER = 10.0
"""Seconds that a cancelled attempt has to stop by itself."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as it is now. Only an `idle` one takes an attempt. `memory` has figures in bytes by name."""

    id: str
    device: str
    state: Literal["starting", "idle", "busy", "gone"]
    memory: Mapping[str, int] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


class Executor(Protocol):
    """Runs attempts on workers and keeps the workers alive."""

    @property
    def ready(self) -> asyncio.Event:
        """Set whenever a worker has loaded what it needs; who waits for it clears it."""
        ...

    async def start(self) -> None:
        """Start the workers; they become idle in their own time."""
        ...

    def workers(self) -> Sequence[WorkerInfo]:
        """Every worker, as it is now."""
        ...

    async def changed(self) -> None:
        """Return when a worker joined, became idle or was lost since the last call."""
        ...

    def run(self, worker: str, attempt: Attempt) -> AsyncIterator[Event]:
        """Run an attempt on an idle worker: its events in order, of which the last and only the last is an end.

        It ends whatever happens to the worker: with `Lost` if that dies.
        """
        ...

    async def cancel(self, attempt: Attempt, hard_after: float = HARD_AFTER) -> None:
        """Ask an attempt to stop; if it has not within `hard_after` seconds, its worker is replaced.

        Either way the attempt's own events say how it ended. An attempt that has ended is left alone, and so is
        whatever runs in its place.
        """
        ...

    async def free(self, *, models: bool, cache: bool) -> None:
        """Let the workers drop models, or everything they keep, before their next attempt."""
        ...

    async def foresee(self, waiting: Sequence[Job]) -> None:
        """Tell the workers which jobs wait, the next one first: what they keep may depend on it."""
        ...

    async def check(self, prompt: str, targets: Sequence[str]) -> list[dict[str, Any]] | None:
        """What the validators of the prompt's nodes object to; None if no worker can say so now."""
        ...

    async def stop(self) -> None:
        """End the workers. Attempts that still run are lost, without blame."""
        ...
