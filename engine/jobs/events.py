"""What an attempt tells while it runs: frozen values that travel between processes as JSON.

An attempt ends with exactly one of `Done`, `Failed`, `Stopped` or `Lost`. Nodes are named by the id the user sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

from engine.jobs.job import Saved


@dataclass(frozen=True, slots=True)
class Started:
    """A worker begins an attempt. `cached` are the nodes whose results are there already."""

    cached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node of type `type` begins to work."""

    node: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """`value` of `total` steps of a node are done."""

    node: str
    value: int
    total: int


@dataclass(frozen=True, slots=True, repr=False)
class Preview:
    """A picture on the way to the result; `picture` is a whole file of type `media_type`."""

    node: str
    picture: bytes
    media_type: str = "image/jpeg"


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node is done, by work or from the cache. `output` is what it shows, in the community's form, if anything."""

    node: str
    output: Mapping[str, Any] | None = None
    files: tuple[Saved, ...] = ()
    cached: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know, although the node goes on."""

    node: str
    text: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """A node did not run because an input is blocked."""

    node: str
    message: str


@dataclass(frozen=True, slots=True)
class Done:
    """Every target is done."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed by the job's own fault. `inputs` are those of the node that failed, in short."""

    kind: Literal["user", "oom", "invalid"]
    message: str
    exception: str = "Exception"
    node: str = ""
    node_type: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    code: str = "node_failed"


@dataclass(frozen=True, slots=True)
class Stopped:
    """The attempt was cancelled."""

    node: str = ""
    node_type: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died under the attempt; `blamed` if what it ran is to be blamed for it."""

    reason: str
    blamed: bool


Event: TypeAlias = (
    Started | NodeStarted | Progress | Preview | NodeFinished | Warned | Blocked | Done | Failed | Stopped | Lost
)
ENDS = (Done, Failed, Stopped, Lost)

_KINDS: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Started, NodeStarted, Progress, NodeFinished, Warned, Blocked, Done, Failed, Stopped, Lost)
}


_NAMES = {kind: tuple(item.name for item in fields(kind)) for kind in (*_KINDS.values(), Saved)}


def to_json(event: Event) -> list[Any]:
    """`[name, values...]`: short, since there may be thousands. Previews travel as bytes of their own."""
    kind = type(event)
    values: list[Any] = [kind.__name__]
    values += [getattr(event, name) for name in _NAMES[kind]]
    if isinstance(event, NodeFinished):
        values[3] = [[getattr(saved, name) for name in _NAMES[Saved]] for saved in event.files]
    return values


def from_json(data: list[Any]) -> Event:
    """The inverse of `to_json`."""
    name, *values = data
    event: Event = _KINDS[name](*(tuple(value) if isinstance(value, list) else value for value in values))
    if isinstance(event, NodeFinished):
        files = tuple(Saved(*saved) for saved in event.files)  # type: ignore[misc]  # still lists here
        return NodeFinished(event.node, event.output, files, event.cached, event.seconds)
    return event
