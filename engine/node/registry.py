"""The node types of a process, by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from engine.foundation.errors import EaselError
from engine.graph.spec import NodeSpec
from engine.node.definition import NodeDefinition


class ClashError(EaselError):
    """Two packs define a node of the same id."""

    code: ClassVar[str] = "node_clash"


class Registry(Mapping[str, NodeDefinition]):
    """Node definitions by id; frozen once made."""

    def __init__(self, definitions: Iterable[NodeDefinition] = ()) -> None:
        self._definitions: dict[str, NodeDefinition] = {}
        for definition in definitions:
            known = self._definitions.setdefault(definition.spec.id, definition)
            if known is not definition:
                raise clash(known, definition)

    def __getitem__(self, node_id: str) -> NodeDefinition:
        return self._definitions[node_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)

    @property
    def specs(self) -> Mapping[str, NodeSpec]:
        """The specs by id."""
        return {node_id: definition.spec for node_id, definition in self._definitions.items()}


def clash(first: NodeDefinition, second: NodeDefinition) -> ClashError:
    """The error that names both sides."""
    return ClashError(
        f"two packs define {first.spec.id}",
        where=f"{first.spec.pack} and {second.spec.pack}",
        hint="Remove or rename one of them.",
    )
