"""The worker's side of the pipe: events gathered for a moment and sent together, beats from a thread of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Event as Flag
from threading import Lock, Thread
from typing import Any, BinaryIO

from engine.jobs import frames
from engine.jobs.events import ENDS, Event, Progress, to_json

BEAT_SECONDS = 1.0
GATHER_SECONDS = 0.004


class Link:
    """Sends frames to the server; every method may be called from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self.memory: Callable[[], Mapping[str, int]] = dict
        """Gives the figures that go along with each beat."""
        self._out = out
        self._writing = Lock()
        self._gathering = Lock()
        self._some = Flag()
        self._attempt: tuple[str, int] = ("", 0)
        self._events: list[Event] = []
        self._flushed = 0.0

    def start(self) -> None:
        """Begin to beat."""
        Thread(target=self._beat, name="beat", daemon=True).start()
        Thread(target=self._send_gathered, name="events", daemon=True).start()

    def begin(self, job: str, attempt: int) -> None:
        """The events from now on are those of this attempt."""
        self._attempt = (job, attempt)

    def tell(self, event: Event) -> None:
        """Send an event: at once after a quiet moment or at an end, else with those that follow in the next moment.

        Progress that was not sent yet gives way to later progress.
        """
        with self._gathering:
            last = self._events[-1] if self._events else None
            if isinstance(event, Progress) and isinstance(last, Progress) and last.node == event.node:
                self._events.pop()
            self._events.append(event)
        if isinstance(event, ENDS) or time.monotonic() - self._flushed > GATHER_SECONDS:
            self._flush()
        else:
            self._some.set()

    def preview(self, node: str, picture: bytes, media_type: str, attempt: tuple[str, int]) -> None:
        """Send a preview picture."""
        self.send(
            {"is": "preview", "job": attempt[0], "attempt": attempt[1], "node": node, "type": media_type}, picture
        )

    def picture(self, node: str, picture: bytes, media_type: str) -> None:
        """Send a finished picture of the attempt that runs, after all that was told before it."""
        self._flush()
        self.preview(node, picture, media_type, self._attempt)

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send a frame now."""
        data = memoryview(frames.pack(head, body))
        with self._writing:
            while data:  # a raw file may take a part only
                data = data[self._out.write(data) :]

    @property
    def attempt(self) -> tuple[str, int]:
        """The job and the number of the attempt that runs."""
        return self._attempt

    def _flush(self) -> None:
        with self._gathering:
            self._flushed = time.monotonic()
            events, self._events = self._events, []
            if events:  # sent under the lock, so that frames leave in order
                job, attempt = self._attempt
                head = {"is": "events", "job": job, "attempt": attempt, "events": [to_json(event) for event in events]}
                self.send(head)

    def _send_gathered(self) -> None:
        while True:
            self._some.wait()
            time.sleep(GATHER_SECONDS)
            self._some.clear()
            self._flush()

    def _beat(self) -> None:
        while True:
            self.send({"is": "beat", "memory": dict(self.memory())})
            time.sleep(BEAT_SECONDS)
