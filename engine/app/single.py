"""One server for one user directory: two would fight over its queue."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from engine.foundation.errors import EaselError


class AlreadyRunningError(EaselError):
    """Another process has the user directory."""

    code: ClassVar[str] = "already_running"


class SingleInstance:
    """Holds the user directory while it is entered; the system lets go of it when the process dies, however it does.

    The lock is SQLite's on a file of its own: it works alike on every system.
    """

    def __init__(self, user: Path) -> None:
        self._user = user
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> None:
        self._user.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self._user / "server.lock", timeout=0, isolation_level=None)
        try:
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise AlreadyRunningError(
                "another server uses this user directory",
                where=str(self._user),
                hint="Stop it, or give this one a --user-directory of its own.",
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
