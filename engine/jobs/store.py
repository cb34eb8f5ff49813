"""The job store: every job, attempt and result as rows of one SQLite file.

A change is on disk when the transaction around it has been committed (WAL, synchronous=FULL: it then survives a loss of
power). Methods run inside the caller's transaction; `committer` groups them. One process owns a store at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from time import time
from typing import Any, ClassVar

from engine.foundation.errors import EaselError
from engine.jobs.job import Attempt, Ending, Job, NewJob, Saved, State
from engine.jobs.schema import migrate

MAX_DEATHS = 2
MAX_WAITING = 10_000
MAX_HISTORY = 10_000

_JOB = ", ".join(item.name for item in fields(Job))
_SAVED = ", ".join(item.name for item in fields(Saved))
_QUEUE_ORDER = "priority DESC, deaths, number, rank"


class IdInUseError(EaselError):
    """Another request has this job id already."""

    code: ClassVar[str] = "job_id_in_use"


class QueueFullError(EaselError):
    """So many jobs wait that no more are taken."""

    code: ClassVar[str] = "queue_full"


class JobStateError(EaselError):
    """A job that does not exist, or whose state does not allow what was asked."""

    code: ClassVar[str] = "job_state"


class DamagedStoreError(EaselError):
    """A file that is no job store, or a damaged one."""

    code: ClassVar[str] = "damaged_job_store"


def _now() -> int:
    return int(time() * 1000)


class JobStore:
    """The rows. Use from one thread; `clock` gives milliseconds since 1970."""

    def __init__(
        self,
        path: Path,
        *,
        max_waiting: int = MAX_WAITING,
        max_history: int = MAX_HISTORY,
        clock: Callable[[], int] = _now,
    ) -> None:
        """Open or make the store at `path`. Raises `DamagedStoreError`, `SchemaError` or `sqlite3.Error`."""
        self.max_waiting = max_waiting
        self.max_history = max_history
        self._clock = clock
        self.connection = connect(path)
        try:
            if self.connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise DamagedStoreError("the job store is damaged", where=path.name)
            migrate(self.connection)
        except sqlite3.DatabaseError as error:
            self.connection.close()
            raise _opening(error, path) from error
        except EaselError:
            self.connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    # -- the queue ----------------------------------------------------------------------------------------------

    def enqueue(self, new: NewJob) -> Job:
        """Add a job to the queue; the same request under the same id again answers the job there is.

        Raises `IdInUseError` if another request has the id, `QueueFullError` if too many jobs wait.
        """
        known = self.connection.execute("SELECT digest FROM jobs WHERE id = ?", (new.id,)).fetchone()
        if known is not None:
            if known[0] != new.digest:
                raise IdInUseError("another job has this id", where="prompt_id", got=new.id, hint="Choose a new id.")
            return self.get(new.id)
        if self.waiting() >= self.max_waiting:
            raise QueueFullError("the queue is full", expected=f"at most {self.max_waiting} waiting jobs")
        self.connection.execute(
            "INSERT INTO jobs (id, state, priority, number, rank, digest, client, workflow, prompt, extra, secrets,"
            " targets, created) VALUES (?, 'pending', ?, ?, (SELECT coalesce(max(seq), 0) + 1 FROM jobs),"
            " ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(new.id, new.priority, new.number, new.digest, new.client, new.workflow, new.prompt, new.extra),
                *(new.secrets, json.dumps(new.targets), self._clock()),
            ),
        )
        return self.get(new.id)

    def claim(self, worker: str) -> Attempt | None:
        """The next job as a new attempt of `worker`, or None: nothing waits, or the queue is paused."""
        if self.paused():
            return None
        sql = f"SELECT id FROM jobs WHERE state = 'pending' ORDER BY {_QUEUE_ORDER} LIMIT 1"
        row = self.connection.execute(sql).fetchone()
        if row is None:
            return None
        now = self._clock()
        self.connection.execute(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, started = ?, ended = NULL WHERE id = ?",
            (now, row[0]),
        )
        job = self.get(row[0])
        self.connection.execute(
            "INSERT INTO attempts (job, number, worker, started) VALUES (?, ?, ?, ?)",
            (job.id, job.attempt, worker, now),
        )
        return Attempt(job, job.attempt)

    def complete(self, attempt: Attempt, ending: Ending) -> bool:
        """End a job with what its attempt gave. False, and nothing changes, if the attempt is no longer the job's."""
        job_id = attempt.job.id
        ended = self.connection.execute(
            "UPDATE jobs SET state = ?, outputs = ?, messages = ?, error = ?, ended = ?, secrets = NULL"
            " WHERE id = ? AND attempt = ? AND state = 'running'",
            (
                *(ending.state, json.dumps(ending.outputs), json.dumps(ending.messages)),
                *(ending.error and json.dumps(ending.error), self._clock(), *attempt.key),
            ),
        )
        if ended.rowcount == 0:
            return False
        self._close_attempt(attempt, ending.state)
        self.connection.execute("DELETE FROM files WHERE job = ?", (job_id,))
        rows = [(job_id, place, *_values(saved)) for place, saved in enumerate(ending.files)]
        self.connection.executemany(
            f"INSERT INTO files (job, place, {_SAVED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )
        self._prune()
        return True

    def lost(self, attempt: Attempt, quarantine: Ending | None = None) -> State | None:
        """The worker went away under an attempt. Answers the job's new state, None if the attempt is not the job's.

        A job that is to blame comes with `quarantine`, the ending it gets when this is its last chance; else it waits
        again, behind those that killed no worker. One that was not to blame keeps its place. One that was cancelled
        meanwhile does not wait again.
        """
        job_id, number = attempt.key
        held = self.connection.execute(
            "UPDATE jobs SET deaths = deaths + ? WHERE id = ? AND attempt = ? AND state = 'running'",
            (int(quarantine is not None), job_id, number),
        )
        if held.rowcount == 0:
            return None
        if quarantine is not None and self.get(job_id).deaths >= MAX_DEATHS:
            self.complete(attempt, quarantine)
            return "quarantined"
        self.connection.execute("UPDATE jobs SET state = 'pending' WHERE id = ?", (job_id,))
        self._close_attempt(attempt, "interrupted" if quarantine is None else "died")
        (cancelled,) = self.connection.execute("SELECT cancelled FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if cancelled:
            self.cancel(job_id)
        return "cancelled" if cancelled else "pending"

    def requeue(self, attempt: Attempt) -> bool:
        """Put a job that was stopped on the way back in its place, as at the end of the process."""
        return self.lost(attempt) is not None

    def recover(self) -> list[str]:
        """After a start: the jobs that ran when the process before ended wait again. Their ids."""
        running = self._select("WHERE state = 'running'")
        return [job.id for job in running if self.lost(Attempt(job, job.attempt)) == "pending"]

    def cancel(self, job_id: str) -> State | None:
        """Cancel a job that waits; one that runs is marked, so that it ends here when its attempt is lost.

        Answers the state it was in, None if there is no such job.
        """
        job = self.find(job_id)
        if job is not None and job.state == "pending":
            self.connection.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ?, secrets = NULL WHERE id = ?", (self._clock(), job_id)
            )
        elif job is not None and job.state == "running":
            self.connection.execute("UPDATE jobs SET cancelled = 1 WHERE id = ?", (job_id,))
        return None if job is None else job.state

    def remove_waiting(self, job_ids: Iterable[str] | None = None) -> int:
        """Take jobs (None: all) that wait out of the queue, without a trace. How many were."""
        if job_ids is None:
            return self.connection.execute("DELETE FROM jobs WHERE state = 'pending'").rowcount
        removed = [
            self.connection.execute("DELETE FROM jobs WHERE id = ? AND state = 'pending'", (i,)) for i in job_ids
        ]
        return sum(cursor.rowcount for cursor in removed)

    def retry(self, job_id: str) -> Job:
        """Queue an ended job that is not done once more, with a clean slate. Raises `JobStateError`."""
        job = self.get(job_id)
        if not job.final or job.state == "done":
            raise JobStateError("only a job that failed can be retried", where=f"job {job_id}", got=job.state)
        self.connection.execute(
            "UPDATE jobs SET state = 'pending', deaths = 0, started = NULL, ended = NULL, outputs = '{}',"
            " messages = '[]', error = NULL, cancelled = 0 WHERE id = ?",
            (job_id,),
        )
        self.connection.execute("DELETE FROM files WHERE job = ?", (job_id,))
        return self.get(job_id)

    def reorder(self, job_ids: Sequence[str]) -> None:
        """Let these waiting jobs take the places they hold together in the given order. Raises `JobStateError`."""
        jobs = [self.get(job_id) for job_id in dict.fromkeys(job_ids)]
        for job in jobs:
            if job.state != "pending":
                raise JobStateError("only a job that waits can be moved", where=f"job {job.id}", got=job.state)
        marks = ", ".join("?" * len(jobs))
        places = self.connection.execute(
            f"SELECT priority, deaths, number, rank FROM jobs WHERE id IN ({marks}) ORDER BY {_QUEUE_ORDER}",
            [job.id for job in jobs],
        ).fetchall()
        for job, place in zip(jobs, places, strict=True):
            sql = "UPDATE jobs SET priority = ?, deaths = ?, number = ?, rank = ? WHERE id = ?"
            self.connection.execute(sql, (*place, job.id))

    def pause(self, on: bool) -> None:
        """While the queue is paused no job is claimed; those that run go on."""
        self.connection.execute("REPLACE INTO switches VALUES ('paused', ?)", ("1" if on else "0",))

    def paused(self) -> bool:
        """Whether the queue is paused."""
        row = self.connection.execute("SELECT value FROM switches WHERE name = 'paused'").fetchone()
        return row is not None and row[0] == "1"

    # -- looking ------------------------------------------------------------------------------------------------

    def find(self, job_id: str) -> Job | None:
        """The job called `job_id`, if there is one."""
        found = self._select("WHERE id = ?", (job_id,))
        return found[0] if found else None

    def get(self, job_id: str) -> Job:
        """The job called `job_id`. Raises `JobStateError`."""
        job = self.find(job_id)
        if job is None:
            raise JobStateError("there is no such job", where=f"job {job_id[:80]}")
        return job

    def waiting(self) -> int:
        """How many jobs wait."""
        return int(self.connection.execute("SELECT count(*) FROM jobs WHERE state = 'pending'").fetchone()[0])

    def next(self, count: int) -> list[Job]:
        """The jobs that wait, `count` at the most, in the order they will run."""
        return self._select(f"WHERE state = 'pending' ORDER BY {_QUEUE_ORDER} LIMIT ?", (count,))

    def unfinished(self) -> int:
        """How many jobs wait or run."""
        sql = "SELECT count(*) FROM jobs WHERE state = 'running'"
        return self.waiting() + int(self.connection.execute(sql).fetchone()[0])

    def highest_number(self) -> float | None:
        """The highest number of a waiting or running job, None if there is none."""
        sql = "SELECT max(number) FROM jobs WHERE state IN ('pending', 'running')"
        (highest,) = self.connection.execute(sql).fetchone()
        return None if highest is None else float(highest)

    def queue(self) -> tuple[list[Job], list[Job]]:
        """The jobs that run, and those that wait in the order they will run."""
        running = self._select("WHERE state = 'running' ORDER BY seq")
        return running, self._select(f"WHERE state = 'pending' ORDER BY {_QUEUE_ORDER}")

    def history(self, limit: int | None = None, offset: int | None = None) -> list[Job]:
        """Ended jobs, the oldest first; `limit` alone gives the newest ones."""
        if limit is not None and offset is None:
            newest = self._select("WHERE ended IS NOT NULL ORDER BY ended DESC, seq DESC LIMIT ?", (max(limit, 0),))
            return newest[::-1]
        window = (-1 if limit is None else limit, max(offset or 0, 0))
        return self._select("WHERE ended IS NOT NULL ORDER BY ended, seq LIMIT ? OFFSET ?", window)

    def jobs(
        self,
        *,
        states: Sequence[State] = (),
        workflow: str | None = None,
        by_duration: bool = False,
        descending: bool = True,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[Job], int]:
        """A page of all jobs by time of creation (or of execution), and how many there are in all."""
        conditions, values = ["1"], list[Any]()
        if states:
            conditions.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        if workflow is not None:
            conditions.append("workflow = ?")
            values.append(workflow)
        where = f"WHERE {' AND '.join(conditions)}"
        (total,) = self.connection.execute(f"SELECT count(*) FROM jobs {where}", values).fetchone()
        direction = "DESC" if descending else "ASC"
        key = "coalesce(ended - started, 0)" if by_duration else "created"
        order = f"ORDER BY {key} {direction}, seq {direction} LIMIT ? OFFSET ?"
        return self._select(f"{where} {order}", (*values, -1 if limit is None else limit, offset)), int(total)

    def files(self, job_id: str) -> list[Saved]:
        """The files that a job made, in order."""
        rows = self.connection.execute(f"SELECT {_SAVED} FROM files WHERE job = ? ORDER BY place", (job_id,))
        return [Saved(*row) for row in rows]

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """The attempts of a job: number, worker, started, ended, outcome."""
        names = ("number", "worker", "started", "ended", "outcome")
        sql = f"SELECT {', '.join(names)} FROM attempts WHERE job = ? ORDER BY number"
        return [dict(zip(names, row, strict=True)) for row in self.connection.execute(sql, (job_id,))]

    def forget(self, job_ids: Iterable[str] | None = None) -> None:
        """Delete ended jobs (None: all) from the history; their files stay."""
        if job_ids is None:
            self.connection.execute("DELETE FROM jobs WHERE ended IS NOT NULL")
        for job_id in job_ids or ():
            self.connection.execute("DELETE FROM jobs WHERE id = ? AND ended IS NOT NULL", (job_id,))

    # -- inside -------------------------------------------------------------------------------------------------

    def _select(self, rest: str, values: Sequence[Any] = ()) -> list[Job]:
        return [Job(*row) for row in self.connection.execute(f"SELECT {_JOB} FROM jobs {rest}", values)]

    def _close_attempt(self, attempt: Attempt, outcome: str) -> None:
        sql = "UPDATE attempts SET ended = ?, outcome = ? WHERE job = ? AND number = ?"
        self.connection.execute(sql, (self._clock(), outcome, *attempt.key))

    def _prune(self) -> None:
        self.connection.execute(
            "DELETE FROM jobs WHERE seq IN"
            " (SELECT seq FROM jobs WHERE ended IS NOT NULL ORDER BY ended DESC, seq DESC LIMIT -1 OFFSET ?)",
            (self.max_history,),
        )


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file at `path` on which a commit is on disk; transactions are the caller's."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _opening(error, path) from error
    return connection


def set_aside(path: Path, stamp: str) -> Path:
    """Rename a damaged store and its companions, so that a new one can take its place. Where it is now."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    return aside


def _opening(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """Damage is told from what only looks like it: a lock, a full disk or a missing right are `OperationalError`."""
    if isinstance(error, sqlite3.OperationalError):
        return error
    return DamagedStoreError("the job store cannot be read", where=path.name, got=str(error))


def _values(saved: Saved) -> tuple[Any, ...]:
    return tuple(getattr(saved, item.name) for item in fields(saved))
