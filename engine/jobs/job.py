"""A job (a request that was accepted) and an attempt (one execution of it), as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

State: TypeAlias = Literal["pending", "running", "done", "failed", "cancelled", "quarantined"]
FINAL: frozenset[State] = frozenset({"done", "failed", "cancelled", "quarantined"})


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a client asked for, checked and ready to be queued. `prompt` and `extra` are JSON texts.

    The queue runs high `priority` first, then low `number`, then what came first. `secrets` (JSON) reach the nodes but
    no answer, and are forgotten when the job ends. `digest` tells whether two requests under one id are the same.
    """

    id: str
    prompt: str
    targets: tuple[str, ...]
    number: float
    digest: str
    extra: str = "{}"
    secrets: str | None = None
    client: str | None = None
    workflow: str | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the queue. Times are milliseconds since 1970; `prompt` to `error` are JSON texts as stored.

    `outputs` has for each node what it shows, `messages` the milestones of the last attempt as clients saw them.
    """

    seq: int
    id: str
    state: State
    priority: int
    number: float
    deaths: int
    attempt: int
    client: str | None
    workflow: str | None
    prompt: str
    extra: str
    secrets: str | None
    targets: str
    created: int
    started: int | None
    ended: int | None
    outputs: str
    messages: str
    error: str | None

    @property
    def final(self) -> bool:
        """Whether the job has ended, however."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a job. `number` counts from 1 and fences: what an older attempt says is not believed."""

    job: Job
    number: int

    @property
    def key(self) -> tuple[str, int]:
        """Identity: the job's id and the attempt's number."""
        return self.job.id, self.number


@dataclass(frozen=True, slots=True)
class Saved:
    """A file that a job made: `filename` in `subfolder` of the folder `type`, with its size and digest."""

    node: str
    filename: str
    subfolder: str
    type: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended for good, with everything that is kept of it."""

    state: Literal["done", "failed", "cancelled", "quarantined"]
    outputs: Mapping[str, Any]
    messages: list[Any]
    error: Mapping[str, Any] | None = None
    files: tuple[Saved, ...] = ()
