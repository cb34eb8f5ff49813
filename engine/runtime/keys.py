"""The content key of each node of a run, from the sources down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import TypeAlias

from engine.graph.graph import NodeId, TypedNode
from engine.graph.keys import Key, node_key, unique_key
from engine.graph.spec import ChoiceWidget, NodeSpec
from engine.node.definition import NodeDefinition

FileFingerprint: TypeAlias = Callable[[str, str], object]
"""A token for the file of a kind and name; it changes when the file does."""


def add_keys(
    keys: dict[NodeId, Key],
    nodes: Iterable[TypedNode],
    definitions: Mapping[str, NodeDefinition],
    fingerprint_file: FileFingerprint,
    in_memory: object = None,
) -> None:
    """Add the keys of `nodes`, given sources first, to `keys`.

    `in_memory` identifies where values that have no canonical form come from (the key of the node that expanded), so
    that the same expansion has the same keys.
    """
    files_of: dict[str, list[tuple[str, str]]] = {}
    for node in nodes:
        spec = node.spec
        if not spec.cacheable:
            keys[node.id] = unique_key()
            continue
        if spec.id not in files_of:
            files_of[spec.id] = _file_inputs(spec)
        marks = [fingerprint_file(kind, node.constants.get(name, "")) for name, kind in files_of[spec.id]]
        if spec.fingerprinted:
            marks.append(_fingerprint(definitions[spec.id], node.constants))
        constants = node.constants
        if in_memory is not None:
            constants = {
                name: value if _is_plain(value) else ("made by", in_memory, node.id, name)
                for name, value in constants.items()
            }
        inputs = {name: (keys[link.source], link.output) for name, link in node.links.items()}
        keys[node.id] = node_key(spec.id, spec.version, constants, inputs, marks)


def _file_inputs(spec: NodeSpec) -> list[tuple[str, str]]:
    widgets = ((item.name, item.widget) for item in spec.inputs)
    return [(name, widget.files) for name, widget in widgets if isinstance(widget, ChoiceWidget) and widget.files]


def _fingerprint(definition: NodeDefinition, constants: Mapping[str, object]) -> object:
    assert definition.fingerprint is not None
    wanted = signature(definition.fingerprint).parameters
    return definition.fingerprint(**{name: constants.get(name) for name in wanted})


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | None)
