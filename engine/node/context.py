"""What a node may ask of whoever runs it: progress, cancellation, files, results. `PLAIN` does without anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.graph.graph import NodeId
from engine.graph.subgraph import GraphBuilder
from engine.store.artifacts import Artifact
from engine.tensors.values import LatentPreview

Place: TypeAlias = Literal["output", "temp"]


class Cancelled(Exception):  # noqa: N818  # not an error: what a run that was asked to stop raises
    """The user asked the run to stop."""


class ContextError(EaselError):
    """A node asked for something that there is not outside a run."""

    code: ClassVar[str] = "no_run"


@dataclass(frozen=True, slots=True)
class Progress:
    """`value` of `total` steps of a node are done."""

    value: int
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """A picture `(B, H, W, 3)` in 0..1, or a latent, on the way to the result."""

    content: Tensor | LatentPreview


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know, although the node goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A node wrote a file that the user asked for."""

    artifact: Artifact


Note: TypeAlias = Progress | Preview | Warned | Saved


class Services(Protocol):
    """What a run gives its nodes access to."""

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Text chunks for saved pictures: `prompt` and what the client sent along."""
        ...

    def file(self, kind: str, name: str) -> Path:
        """The file called `name` in the folders of `kind`; never outside them."""
        ...

    def save(self, data: bytes | memoryview, prefix: str, suffix: str, place: Place, size: tuple[int, int]) -> Artifact:
        """Write a result under a name that starts with `prefix`; `size` (width, height) may be part of the name."""
        ...


class NodeContext:
    """A node's view of its run."""

    def __init__(
        self,
        services: Services | None = None,
        *,
        node_id: str = "",
        call: int = 0,
        report: Callable[[Note], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self.node_id = node_id
        self._services = services
        self._call = call
        self._report = report or (lambda _note: None)
        self.check_cancelled = check or (lambda: None)

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        return self._services.device if self._services else torch.device("cpu")

    @property
    def metadata(self) -> Mapping[str, str]:
        """Text chunks for saved pictures."""
        return self._services.metadata if self._services else {}

    def steps(self, total: int) -> Iterator[int]:
        """Count from 0 to `total - 1`, reporting progress and stopping between two steps if the run is cancelled."""
        for step in range(total):
            self.check_cancelled()
            yield step
            self._report(Progress(step + 1, total))

    def progress(self, value: int, total: int) -> None:
        """Report that `value` of `total` steps are done; stops here if the run is cancelled."""
        self.check_cancelled()
        self._report(Progress(value, total))

    def preview(self, content: Tensor | LatentPreview) -> None:
        """Show a picture `(B, H, W, 3)` in 0..1, or a latent, on the way to the result."""
        self._report(Preview(content))

    def warn(self, text: str) -> None:
        """Tell the user something, and go on."""
        self._report(Warned(text))

    def file(self, kind: str, name: str) -> Path:
        """The file called `name` in the folders of `kind`."""
        return self._required("files").file(kind, name)

    def save(
        self,
        data: bytes | memoryview,
        prefix: str,
        suffix: str,
        place: Place = "output",
        size: tuple[int, int] = (0, 0),
    ) -> Artifact:
        """Write a result and report it."""
        artifact = self._required("saving").save(data, prefix, suffix, place, size)
        self._report(Saved(artifact))
        return artifact

    def subgraph(self) -> GraphBuilder:
        """A builder for nodes that take this node's place."""
        return GraphBuilder(NodeId(self.node_id), self._call)

    def _required(self, what: str) -> Services:
        if self._services is None:
            raise ContextError(f"there is no run that offers {what}", hint="Pass a NodeContext with services.")
        return self._services


PLAIN = NodeContext()
"""No run: works on the CPU, silently; files and saving are refused."""
