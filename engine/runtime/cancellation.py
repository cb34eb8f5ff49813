"""Asking a run to stop."""

from __future__ import annotations

from threading import Event

from engine.node.context import Cancelled


class CancelToken:
    """Set from any thread; the run looks at it between nodes and between the steps of a node."""

    def __init__(self) -> None:
        self._event = Event()

    def cancel(self) -> None:
        """Ask the run to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the run was asked to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if the run was asked to stop."""
        if self._event.is_set():
            raise Cancelled
