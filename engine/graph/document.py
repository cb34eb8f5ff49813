"""The prompt document: what a reader made of a file, its shape checked and nothing resolved yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from engine.foundation.errors import EaselError
from engine.graph.graph import Node, NodeId


class DocumentError(EaselError):
    """A document of the wrong shape: `path` is the JSON path of the fault (`$["5"].inputs.model`)."""

    code: ClassVar[str] = "invalid_document"

    def __init__(self, path: str, reason: str, *, hint: str = "") -> None:
        super().__init__(reason, where=path, hint=hint)
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PromptDocument:
    """Nodes by id in document order; their links may point anywhere and their constants hold any JSON."""

    nodes: Mapping[NodeId, Node]
