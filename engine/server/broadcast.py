"""From what the dispatcher tells to what the community's clients hear.

`progress_state` names only nodes that changed and those at work, at most ten times a second, so that the bytes of a run
are linear in its graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from engine.compat import wire
from engine.jobs.dispatcher import JobEnded, JobEvent, Notice, QueueChanged
from engine.jobs.events import Blocked, Event, NodeFinished, NodeStarted, Preview, Progress, Started
from engine.jobs.job import Job
from engine.server.hub import Hub

STATE_SECONDS = 0.1


@dataclass(slots=True)
class _Shown:
    """What the clients of a running job have been told."""

    job: Job
    node: str | None = None
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    told: float = 0.0


class Broadcast:
    """A listener of the dispatcher that speaks to the hub."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = monotonic) -> None:
        self.remaining: int | None = None
        """How many jobs wait or run; None until the queue has been opened."""
        self._hub = hub
        self._clock = clock
        self._shown: dict[str, _Shown] = {}
        self._ended: list[Job] = []

    def __call__(self, notice: Notice) -> None:
        match notice:
            case QueueChanged(remaining):
                self.remaining = remaining
                self._hub.broadcast(wire.status(remaining))
                for job in self._ended:  # after the status, as clients know it
                    self._hub.send(wire.executing(job.id, None), job.client, final=True)
                self._ended.clear()
            case JobEvent(job, _, event, milestones):
                self._event(job, event)
                for message in milestones:
                    self._hub.send(message, job.client)
            case JobEnded(job, _, milestones):
                self._end(job, milestones)

    def running_node(self, client_id: str) -> tuple[bool, str | None]:
        """Whether a job of this client runs now, and the node at work."""
        for shown in self._shown.values():
            if shown.job.client == client_id:
                return True, shown.node
        return False, None

    def _end(self, job: Job, milestones: tuple[wire.Message, ...]) -> None:
        shown = self._shown.pop(job.id, None)
        if shown is not None:
            self._tell_states(shown)
        for message in milestones:
            if message[0] == "execution_interrupted" and job.client is None:
                self._hub.broadcast(message)
            else:
                self._hub.send(message, job.client, final=True)
        self._ended.append(job)

    def _event(self, job: Job, event: Event) -> None:
        if isinstance(event, Started):
            self._shown[job.id] = _Shown(job)
        shown = self._shown.get(job.id)
        if shown is None:
            return
        match event:
            case NodeStarted(node):
                shown.node = node
                self._change(shown, node, 0, 1, "running")
                self._hub.send(wire.executing(job.id, node), job.client)
            case Progress(node, value, total):
                self._change(shown, node, value, total, "running")
                self._send_or_all(wire.progress(job.id, node, value, total), job)
            case Preview(node, picture, media_type):
                self._preview(job, node, picture, media_type)
            case NodeFinished(node, output):
                if output is not None:
                    self._hub.send(wire.executed(job.id, node, output), job.client, final=True)
                known = shown.states.get(node)
                total = known["max"] if known else 1
                self._change(shown, node, total, total, "finished")
            case Blocked(node):
                shown.node = node

    def _change(self, shown: _Shown, node: str, value: float, total: float, state: str) -> None:
        shown.states[node] = wire.node_progress(shown.job.id, node, value, total, state)
        shown.changed.add(node)
        if self._clock() - shown.told >= STATE_SECONDS:
            self._tell_states(shown)

    def _tell_states(self, shown: _Shown) -> None:
        if shown.changed:
            self._send_or_all(
                wire.progress_state(shown.job.id, [shown.states[node] for node in shown.states]), shown.job
            )
            shown.told = self._clock()
            shown.changed.clear()
            shown.states = {node: entry for node, entry in shown.states.items() if entry["state"] == "running"}

    def _send_or_all(self, message: wire.Message, job: Job) -> None:
        self._hub.broadcast(message) if job.client is None else self._hub.send(message, job.client)

    def _preview(self, job: Job, node: str, picture: bytes, media_type: str) -> None:
        plain: bytes | None = None
        detailed: bytes | None = None
        for client in self._hub.clients(job.client):
            if client.wants_metadata:
                detailed = detailed or wire.preview_frame_with_metadata(job.id, node, picture, media_type)
                client.send("preview", detailed)
            else:
                plain = plain or wire.preview_frame(picture, media_type)
                client.send("preview", plain)
