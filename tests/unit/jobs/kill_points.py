"""Places where a process of the tests can be made to die: at a step of saving a file or of a commit.

The environment names a file; while it holds the name of a place, the process that comes there next removes the file and
dies, as by `kill -9`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "EASEL_TEST_KILL_FILE"
WORKER_PLACES = tuple(
    f"{step} {moment}" for step in ("intend", "claim", "sync", "write", "tell") for moment in ("before", "after")
)
SERVER_PLACES = tuple(
    f"{step} {moment}" for step in ("commit", "complete", "enqueue") for moment in ("before", "after")
)


def arm_worker() -> None:
    """Watch the steps from a result in memory to a job that is done."""
    if VARIABLE in os.environ:
        from engine.app.worker.link import Link
        from engine.store import artifacts
        from engine.store.journal import SaveJournal

        _watch(SaveJournal, "intend", "intend")
        _watch(artifacts, "_claim", "claim")
        _watch(artifacts, "sync_folder", "sync")
        _watch(artifacts, "_write", "write")
        _watch(Link, "tell", "tell")


def arm_server() -> None:
    """Watch the steps from a request to a row, and from a result to a row."""
    if VARIABLE in os.environ:
        from engine.jobs import committer
        from engine.jobs.store import JobStore

        _watch(committer, "_commit", "commit")
        _watch(JobStore, "complete", "complete")
        _watch(JobStore, "enqueue", "enqueue")


def _watch(owner: Any, name: str, step: str) -> None:
    inner: Callable[..., Any] = getattr(owner, name)

    def watched(*args: Any, **options: Any) -> Any:
        _pass(f"{step} before")
        result = inner(*args, **options)
        _pass(f"{step} after")
        return result

    setattr(owner, name, watched)


def _pass(place: str) -> None:
    file = Path(os.environ[VARIABLE])
    try:
        if file.read_text("ascii") != place:
            return
        file.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
