"""The validators that nodes bring along, which need their code and so run after binding."""

from __future__ import annotations

from collections.abc import Mapping

from engine.graph.bind import BindError
from engine.graph.diagnostics import Diagnostic, Fault
from engine.graph.graph import Node, TypedGraph
from engine.node.definition import NodeDefinition


def checked(graph: TypedGraph, definitions: Mapping[str, NodeDefinition]) -> TypedGraph:
    """`graph`, if the validators of all its nodes are content; else raises `BindError` with what they say."""
    faults: list[Diagnostic] = []
    for node in graph.nodes.values():
        check = definitions[node.spec.id].check if node.spec.checked else None
        if check is not None:
            message = check(**{name: node.constants.get(name) for name in node.spec.checked_inputs})
            if message:
                place = Node(node.id, node.spec.id, title=node.title)
                faults.append(Fault("custom_validation_failed", message).at(place))
    if faults:
        raise BindError(faults)
    return graph
