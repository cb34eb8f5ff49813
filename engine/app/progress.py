"""A run on the terminal: a bar for the nodes, one for the steps of the node at work, with the time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from engine.graph.graph import NodeId
from engine.node.context import Progress as StepsDone
from engine.node.context import Warned
from engine.runtime import events
from engine.runtime.events import Event, EventSink


@contextmanager
def shown(names: Mapping[NodeId, str], *, quiet: bool) -> Iterator[EventSink]:
    """A sink that draws bars on standard error while the block runs; `names` are what nodes are called."""
    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=not sys.stderr.isatty()) as bars:
        yield _Bars(bars, names)


class _Bars:
    def __init__(self, bars: Progress, names: Mapping[NodeId, str]) -> None:
        self._bars = bars
        self._names = names
        self._nodes = bars.add_task("nodes", total=len(names))
        self._steps = bars.add_task("", total=None, visible=False)

    def __call__(self, event: Event) -> None:
        match event:
            case events.NodesCached(nodes):
                self._bars.advance(self._nodes, len(nodes))
            case events.NodeStarted(node):
                self._bars.update(self._nodes, description=self._names.get(node, node))
            case events.NodeNote(node, StepsDone(value, total)):
                name = f"{self._names.get(node, node)}, steps"
                if value == 1:
                    self._bars.reset(self._steps, total=total)
                self._bars.update(self._steps, completed=value, total=total, description=name, visible=True)
            case events.NodeNote(node, Warned(text)):
                self._bars.console.print(f"warning: {self._names.get(node, node)}: {text}", markup=False)
            case events.NodeBlocked(node, message):
                self._bars.console.print(f"blocked: {self._names.get(node, node)}: {message}", markup=False)
            case events.NodeFinished(node, _artifacts, cached, texts):
                for text in texts:
                    self._bars.console.print(f"{self._names.get(node, node)}: {text}", markup=False)
                if not cached:
                    self._bars.advance(self._nodes)
                    self._bars.update(self._steps, visible=False)
