"""What a run tells: one frozen value for each thing that happens, for whoever listens.

Nodes are named by the id that the user sees: a node made at run time by the one it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from engine.graph.graph import NodeId
from engine.node.context import Preview, Progress, Saved, Sent, Shown, Warned
from engine.store.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins; `nodes` is how many there are in all."""

    nodes: int


@dataclass(frozen=True, slots=True)
class NodesCached:
    """The results of these nodes were there already, so neither they nor what only they need will run."""

    nodes: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node begins to work."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class NodeNote:
    """A node reports progress, a preview, a warning, a saved file, a text to show or a picture to send."""

    node: NodeId
    note: Progress | Preview | Warned | Saved | Shown | Sent


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node is done, by work or from the cache; `artifacts` are the files it saved, `texts` what else it shows."""

    node: NodeId
    artifacts: tuple[Artifact, ...]
    cached: bool = False
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeBlocked:
    """A node did not run because an input is blocked, and somebody should know why."""

    node: NodeId
    message: str


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node raised: the kind of error, its message, and the node's inputs in short."""

    node: NodeId
    node_type: str
    kind: str
    message: str
    inputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Every target is done."""


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A node failed, so the run stopped."""


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """The run was asked to stop, and did."""


Event: TypeAlias = (
    RunStarted
    | NodesCached
    | NodeStarted
    | NodeNote
    | NodeFinished
    | NodeBlocked
    | NodeFailed
    | RunFinished
    | RunFailed
    | RunCancelled
)


class EventSink(Protocol):
    """Takes the events of a run in order. Whatever it raises does not reach the run."""

    def __call__(self, event: Event, /) -> None: ...
