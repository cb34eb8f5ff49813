"""From what a run tells to what the server hears."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.graph.graph import NodeId, TypedGraph
from engine.jobs import events as told
from engine.jobs.job import Saved
from engine.node.context import Preview, Progress, Sent, Warned
from engine.runtime import events
from engine.store.artifacts import Artifact


class Report:
    """An event sink: hands on each event as the server knows it, previews to `show`, finished pictures to `send`."""

    def __init__(
        self,
        graph: TypedGraph,
        tell: Callable[[told.Event], None],
        show: Callable[[str, Preview], None],
        clean: Callable[[str], str],
        send: Callable[[str, bytes, str], None] = lambda _node, _picture, _type: None,
    ) -> None:
        self.failure: told.Failed | None = None
        """Why the run failed, if it did."""
        self._types: Mapping[NodeId, str] = {node.id: node.spec.id for node in graph.nodes.values()}
        self._tell = tell
        self._show = show
        self._clean = clean
        self._send = send
        self._began: dict[NodeId, float] = {}
        self._now: NodeId | None = None

    def note(self, text: str) -> None:
        """Something the user should know about the node that runs."""
        if self._now is not None:
            self._tell(told.Warned(self._now, self._clean(text)))

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.NodesCached(nodes):
                self._tell(told.Started(nodes))
            case events.NodeStarted(node):
                self._now = node
                if node not in self._began:  # an expansion's nodes are all seen as the one they came from
                    self._began[node] = time.monotonic()
                    self._tell(told.NodeStarted(node, self._types[node]))
            case events.NodeNote(node, Progress(value, total)):
                self._tell(told.Progress(node, value, total))
            case events.NodeNote(node, Preview() as preview):
                self._show(node, preview)
            case events.NodeNote(node, Sent(picture, media_type)):
                self._send(node, picture, media_type)
            case events.NodeNote(node, Warned(text)):
                self._tell(told.Warned(node, self._clean(text)))
            case events.NodeFinished(node, artifacts, cached, texts):
                seconds = time.monotonic() - self._began.get(node, time.monotonic())
                files = tuple(_saved(node, artifact) for artifact in artifacts)
                self._tell(told.NodeFinished(node, output_of(artifacts, texts), files, cached, seconds))
            case events.NodeBlocked(node, message):
                self._tell(told.Blocked(node, self._clean(message)))
            case events.NodeFailed(node, node_type, kind, message, inputs):
                fault: Any = "oom" if kind in ("OutOfMemoryError", "NoRoomError") else "user"
                shown = {name: self._clean(value) for name, value in inputs.items()}
                self.failure = told.Failed(fault, self._clean(message), kind, node, node_type, shown)


def output_of(artifacts: Sequence[Artifact], texts: Sequence[str] = ()) -> dict[str, Any] | None:
    """What a node shows, in the community's form: lists of files by kind, and texts; None if there are none."""
    shown: dict[str, Any] = {}
    for artifact in artifacts:
        kind = "images" if artifact.media_type.startswith(("image/", "video/")) else "latents"
        file = {"filename": artifact.filename, "subfolder": artifact.subfolder, "type": artifact.type}
        shown.setdefault(kind, []).append(file)
    if any(artifact.animated for artifact in artifacts):
        shown["animated"] = [True]
    if texts:
        shown["text"] = list(texts)
    return shown or None


def _saved(node: str, artifact: Artifact) -> Saved:
    return Saved(
        node,
        artifact.filename,
        artifact.subfolder,
        artifact.type,
        artifact.size,
        artifact.sha256,
        artifact.media_type,
    )
