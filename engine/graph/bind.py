"""Binding: a graph and the specs of its node types become a graph that may run, or a list of all that is wrong.

Only nodes that an output depends on are looked at. An output whose ancestry has a fault is left out, the others still
bind, so one broken branch does not stop the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.foundation.errors import EaselError
from engine.graph import topology
from engine.graph.bind_node import bind_node, dependencies
from engine.graph.diagnostics import Diagnostic, Fault, Suggest, did_you_mean
from engine.graph.graph import Graph, Node, NodeId, TypedGraph, TypedNode
from engine.graph.literals import Files
from engine.graph.spec import NodeSpec

MAX_SUGGESTIONS = 20  # comparing names is slow, and after so many faults nobody reads on


class BindError(EaselError):
    """A graph that may not run; `diagnostics` has every fault found, `str()` has one line for each."""

    code: ClassVar[str] = "invalid_graph"

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = tuple(diagnostics)


@dataclass(frozen=True, slots=True)
class Binding:
    """The part of a graph that may run (`None`: nothing may) and the faults of the part that may not."""

    graph: TypedGraph | None
    diagnostics: tuple[Diagnostic, ...]

    def require(self) -> TypedGraph:
        """The typed graph. Raises `BindError` if there is any fault, even one that leaves some outputs intact."""
        if self.graph is None or self.diagnostics:
            raise BindError(self.diagnostics)
        return self.graph


def bind(
    graph: Graph,
    specs: Mapping[str, NodeSpec],
    *,
    files: Files,
    targets: Collection[NodeId] | None = None,
) -> Binding:
    """Bind every node that the outputs depend on.

    `files(kind)` lists the files that a `ChoiceWidget` of that kind offers now; it is asked once per kind. `targets`
    restricts the run to these outputs; ids that are unknown or name no output are ignored.
    """
    roots = _roots(graph, specs, targets)
    if not roots:
        return Binding(None, (_no_outputs(specs, targets).at(None),))
    files, suggest = _once(files), _at_most(MAX_SUGGESTIONS, did_you_mean)
    typed: dict[NodeId, TypedNode] = {}
    faults: dict[NodeId, list[Diagnostic]] = {}

    def source_of(node_id: NodeId) -> tuple[Node, NodeSpec | None] | None:
        node = graph.nodes.get(node_id)
        return None if node is None else (node, specs.get(node.type))

    reached = _reached(graph, specs, roots)
    for node in reached:
        spec = specs.get(node.type)
        if spec is None:
            found = [_unknown_type(suggest(node.type, specs)).at(node)]
        else:
            typed[node.id], found = bind_node(node, spec, source_of, files, suggest=suggest)
        if found:
            faults[node.id] = found
    order = graph.order
    if graph.cycles:  # found again, because links that no spec declares close no circle
        sources = {node.id: dependencies(node, specs.get(node.type)) for node in reached}
        order = topology.order(sources)
        for cycle in topology.cycles(sources):
            faults.setdefault(cycle[0], []).append(_cycle(cycle, graph).at(graph.nodes[cycle[0]]))
    sound = _sound(order, typed, faults)
    return Binding(
        _runnable(typed, order, [node for node in roots if node in sound]),
        tuple(fault for node in graph.nodes for fault in faults.get(node, ())),
    )


def _roots(graph: Graph, specs: Mapping[str, NodeSpec], targets: Collection[NodeId] | None) -> list[NodeId]:
    """The outputs asked for. A node of unknown type that feeds nobody may have been one, so it counts."""
    consumed = {source for node in graph.nodes.values() for source in dependencies(node, None)}
    roots = []
    for node_id, node in graph.nodes.items():
        spec = specs.get(node.type)
        is_sink = node_id not in consumed if spec is None else spec.sink
        if is_sink and (targets is None or node_id in targets):
            roots.append(node_id)
    return roots


def _reached(graph: Graph, specs: Mapping[str, NodeSpec], roots: Sequence[NodeId]) -> list[Node]:
    """The nodes that `roots` depend on, in document order."""

    def sources(node_id: NodeId) -> list[NodeId]:
        node = graph.nodes[node_id]
        return [source for source in dependencies(node, specs.get(node.type)) if source in graph.nodes]

    reached = topology.ancestors(roots, sources)
    return [node for node_id, node in graph.nodes.items() if node_id in reached]


def _sound(
    order: Sequence[NodeId], typed: Mapping[NodeId, TypedNode], faults: Mapping[NodeId, Sequence[Diagnostic]]
) -> set[NodeId]:
    """The nodes without a fault in themselves or above; those behind a cycle are in no order and so drop out."""
    sound: set[NodeId] = set()
    for node_id in order:
        node = typed.get(node_id)
        if node and node_id not in faults and all(link.source in sound for link in node.links.values()):
            sound.add(node_id)
    return sound


def _runnable(
    typed: Mapping[NodeId, TypedNode], order: Sequence[NodeId], targets: Sequence[NodeId]
) -> TypedGraph | None:
    if not targets:
        return None
    kept = topology.ancestors(targets, lambda node: [link.source for link in typed[node].links.values()])
    ordered = tuple(node for node in order if node in kept)
    return TypedGraph({node: typed[node] for node in ordered}, ordered, tuple(targets))


def _once(files: Files) -> Files:
    listed: dict[str, Sequence[str]] = {}

    def cached(kind: str) -> Sequence[str]:
        if kind not in listed:
            listed[kind] = files(kind)
        return listed[kind]

    return cached


def _at_most(limit: int, suggest: Suggest) -> Suggest:
    left = limit

    def limited(name: str, known: Iterable[str]) -> str:
        nonlocal left
        left -= 1
        return suggest(name, known) if left >= 0 else ""

    return limited


def _no_outputs(specs: Mapping[str, NodeSpec], targets: Collection[NodeId] | None) -> Fault:
    if targets is not None:
        return Fault("prompt_no_outputs", "none of the chosen targets is an output of it")
    names = [spec.id for spec in specs.values() if spec.sink]
    example = "SaveImage" if "SaveImage" in names else next(iter(names), "one that saves or shows a result")
    return Fault("prompt_no_outputs", "it has no output to run for", hint=f"Add an output node such as {example}.")


def _unknown_type(suggestion: str) -> Fault:
    hint = suggestion or "Install the node pack that brings it."
    return Fault("unknown_node_type", "there is no node type of this name", hint=hint)


def _cycle(cycle: Sequence[NodeId], graph: Graph) -> Fault:
    named = [f"{graph.nodes[node].type} {node}" for node in (*cycle, cycle[0])]
    if len(named) > 12:
        named = [*named[:6], f"… {len(named) - 11} more …", *named[-5:]]
    message = f"these nodes feed each other in a circle: {' -> '.join(named)}"
    return Fault("graph_cycle", message, hint="Remove one of the links.", extra={"nodes": list(cycle)})
