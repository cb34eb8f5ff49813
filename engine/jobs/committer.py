"""The job store behind one thread: what many callers ask for at once goes to disk in one commit.

A commit waits for the disk, so it must neither hold up the event loop nor be paid for by every job alone. Callers await
their operation; it answers when its transaction is on disk.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, ClassVar, TypeVar

from engine.foundation.errors import EaselError
from engine.jobs.store import DamagedStoreError, JobStore, set_aside

T = TypeVar("T")
MOST_AT_ONCE = 256
_log = logging.getLogger(__name__)


class StoreUnavailableError(EaselError):
    """The job store cannot be written or read now: the disk is full, read-only or failing."""

    code: ClassVar[str] = "store_unavailable"


@dataclass(slots=True)
class _Operation:
    work: Callable[[JobStore], Any]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    outcome: tuple[Any, BaseException | None] = (None, None)

    def tell(self) -> None:
        if not self.answer.done():  # the caller may have gone away
            value, error = self.outcome
            self.answer.set_result(value) if error is None else self.answer.set_exception(error)


class Committer:
    """Runs operations on the store at `path` in a thread of its own; a damaged store is set aside first."""

    def __init__(self, path: Path, **options: Any) -> None:
        """`options` are those of `JobStore`."""
        self.set_aside: Path | None = None
        """Where the damaged store that was found at the start is now."""
        self._path = path
        self._options = options
        self._operations: SimpleQueue[_Operation | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="job-store", daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[JobStore], T]) -> T:
        """What `work(store)` answers, once its changes are on disk; its own errors undo its changes alone.

        Raises `StoreUnavailableError` if the store cannot be opened, read or written.
        """
        loop = asyncio.get_running_loop()
        operation = _Operation(work, loop, loop.create_future())
        self._operations.put(operation)
        answer: T = await operation.answer
        return answer

    def close(self) -> None:
        """Finish what was asked for and close the store."""
        self._operations.put(None)
        self._thread.join()

    def _run(self) -> None:
        store: JobStore | None = None
        while True:
            batch, last = self._batch()
            try:
                if batch:
                    store = store or self._open()
                    _commit(store, batch)
            except (sqlite3.Error, OSError, EaselError) as error:
                _log.error("the job store failed: %s", error)
                failure = StoreUnavailableError("the job store cannot be used now", got=str(error))
                for operation in batch:
                    operation.outcome = (None, failure)
            for loop in {operation.loop for operation in batch}:
                mine = [operation for operation in batch if operation.loop is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_tell_all, mine)
            if last:
                if store is not None:
                    store.close()
                return

    def _batch(self) -> tuple[list[_Operation], bool]:
        """What is waiting to be done, at least one; and whether nothing will follow."""
        batch: list[_Operation] = []
        item = self._operations.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= MOST_AT_ONCE:
                return batch, False
            try:
                item = self._operations.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _open(self) -> JobStore:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return JobStore(self._path, **self._options)
        except DamagedStoreError as error:
            self.set_aside = set_aside(self._path, datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
            _log.error("%s; it was set aside as %s and a new one begun", error, self.set_aside.name)
            return JobStore(self._path, **self._options)


def _commit(store: JobStore, batch: list[_Operation]) -> None:
    """All of `batch` in one transaction; one that fails is rolled back by itself."""
    connection = store.connection
    connection.execute("BEGIN IMMEDIATE")
    try:
        for operation in batch:
            connection.execute("SAVEPOINT one")
            try:
                operation.outcome = (operation.work(store), None)
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001  # the border: one caller's mistake must not end the thread
                operation.outcome = (None, error)
                connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _tell_all(operations: list[_Operation]) -> None:
    for operation in operations:
        operation.tell()
