"""How long nodes took on each device, so that it can be said beforehand: the quickest run counts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.foundation import json
from engine.graph.graph import NodeId, TypedGraph, TypedNode
from engine.graph.keys import Key
from engine.graph.spec import IntWidget, StringWidget
from engine.node.definition import NodeDefinition
from engine.runtime import events
from engine.runtime.events import Event, EventSink
from engine.runtime.keys import FileFingerprint, add_keys
from engine.store.durable import write_durably

MOST = 2000  # nodes that are remembered for a device


class Timings:
    """Seconds of nodes by their work, in a file that several devices share."""

    def __init__(self, path: Path, device: str) -> None:
        self._path = path
        self._device = device
        self._all = _read(path)
        self._own: dict[str, float] = dict(self._all.get(device, {}))
        self._changed = False

    def seconds(self, key: Key) -> float | None:
        """What work took at the least; None if it is not known."""
        return self._own.get(key)

    def took(self, key: Key, seconds: float) -> None:
        """Work took so many seconds."""
        self._own[key] = min(seconds, self._own.pop(key, seconds))  # the latest are at the end
        self._changed = True

    def save(self) -> None:
        """Write the file, if there is anything new; a folder that cannot be written to is no matter."""
        if self._changed:
            self._own = dict(list(self._own.items())[-MOST:])
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_durably(self._path, json.dumps(_read(self._path) | {self._device: self._own}).encode())
            self._changed = False


class Timed:
    """An event sink that takes the time of nodes, and hands every event on."""

    def __init__(self, sink: EventSink, keys: Mapping[NodeId, Key], timings: Timings) -> None:
        self._sink = sink
        self._keys = keys
        self._timings = timings
        self._began: dict[NodeId, float] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case events.NodeStarted(node):
                self._began.setdefault(node, time.perf_counter())
            case events.NodeFinished(node, cached=False) if node in self._began and node in self._keys:
                self._timings.took(self._keys[node], time.perf_counter() - self._began[node])
        self._sink(event)


def work_keys(
    graph: TypedGraph, definitions: Mapping[str, NodeDefinition], fingerprint: FileFingerprint
) -> dict[NodeId, Key]:
    """A key of each node's work: its content key, but that seeds and texts do not count, which change no seconds."""
    keys: dict[NodeId, Key] = {}
    add_keys(keys, [_alike(graph.nodes[node]) for node in graph.order], definitions, fingerprint)
    return keys


def _alike(node: TypedNode) -> TypedNode:
    constants = dict(node.constants)
    for item in node.spec.inputs:
        seed = isinstance(item.widget, IntWidget) and item.widget.control_after_generate
        if item.name in constants and (seed or isinstance(item.widget, StringWidget)):
            constants[item.name] = None
    return replace(node, constants=constants)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.parse(path.read_bytes())
    except (OSError, UnicodeDecodeError, json.JsonError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        device: {key: number for key, number in known.items() if isinstance(number, int | float)}
        for device, known in content.items()
        if isinstance(known, dict)
    }
