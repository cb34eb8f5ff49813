"""What is kept of an attempt: gathered from its events, written with its end."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

from engine.compat import wire
from engine.jobs.events import Blocked, Done, Event, Failed, Lost, NodeFinished, NodeStarted, Started, Stopped
from engine.jobs.job import Attempt, Ending, Saved


class Record:
    """The outputs, files and milestones of one attempt."""

    def __init__(self, attempt: Attempt, clock: Callable[[], float] = time) -> None:
        self.node = ""
        """The node at work, empty between two."""
        self._id = attempt.job.id
        self._clock = clock
        self._type = ""
        self._executed: list[str] = []
        self._outputs: dict[str, Any] = {}
        self._files: list[Saved] = []
        self._messages: list[wire.Message] = []

    def see(self, event: Event) -> list[wire.Message]:
        """Take an event in. The milestones that it adds."""
        before = len(self._messages)
        match event:
            case Started(cached):
                self._messages.append(wire.execution_start(self._id, self._now()))
                self._messages.append(wire.execution_cached(self._id, cached, self._now()))
            case NodeStarted(node, node_type):
                self.node, self._type = node, node_type
            case NodeFinished(node, output, files):
                self.node = ""
                self._executed.append(node)
                self._files += files
                if output is not None:
                    self._outputs[node] = output
            case Blocked(node, message):
                self._messages.append(self._error(Failed("user", message, "ExecutionBlocked", node)))
            case Done():
                self._messages.append(wire.execution_success(self._id, self._now()))
            case Failed():
                self._messages.append(self._error(event))
            case Lost(reason):
                self._messages.append(self._error(_as_failure(reason, self.node, self._type)))
            case Stopped(node, node_type):
                place = {"node": node or self.node, "node_type": node_type or self._type}
                stopped = wire.execution_interrupted(self._id, **place, executed=self._executed, now=self._now())
                self._messages.append(stopped)
        return self._messages[before:]

    def ending(self, event: Done | Failed | Stopped | Lost) -> Ending:
        """The end of the job by this attempt; call after `see(event)`."""
        match event:
            case Done():
                return Ending("done", self._outputs, self._messages, None, tuple(self._files))
            case Failed():
                error = {"type": event.code, "kind": event.kind, "message": event.message, "node": event.node}
                return self._failing("failed", error | {"exception": event.exception, "node_type": event.node_type})
            case Stopped():
                return self._failing("cancelled", None)
            case Lost(reason):
                return self._failing("quarantined", {"type": "quarantined", "message": reason, "node": self.node})

    def _failing(self, state: Any, error: dict[str, Any] | None) -> Ending:
        return Ending(state, self._outputs, self._messages, error, tuple(self._files))

    def _error(self, failed: Failed) -> wire.Message:
        return wire.execution_error(
            self._id,
            node=failed.node,
            node_type=failed.node_type,
            executed=self._executed,
            message=failed.message,
            exception=failed.exception,
            inputs=failed.inputs,
            now=self._now(),
        )

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _as_failure(reason: str, node: str, node_type: str) -> Failed:
    return Failed("user", reason, "WorkerDied", node, node_type, code="quarantined")
