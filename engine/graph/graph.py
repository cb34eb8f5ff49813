"""The graph types that travel from reader to executor. Each is frozen and complete; see `build` and `bind`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType, TypeAlias

from engine.graph.spec import NodeSpec

NodeId = NewType("NodeId", str)
JsonValue: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Link:
    """A reference to output number `output` of node `source`."""

    source: NodeId
    output: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal value written in the document."""

    value: JsonValue


Input: TypeAlias = Link | Constant


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its type and its inputs by name. `title` is what the user called it (may be empty)."""

    id: NodeId
    type: str
    inputs: Mapping[str, Input] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes whose links all resolve to nodes of the graph, without a cycle; `order` is topological, sources first."""

    nodes: Mapping[NodeId, Node]
    order: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class TypedNode:
    """A node bound to its spec: `constants` are coerced to the input's type (defaults filled in), `links` are typed."""

    id: NodeId
    spec: NodeSpec
    constants: Mapping[str, JsonValue]
    links: Mapping[str, Link]
    title: str = ""


@dataclass(frozen=True, slots=True)
class TypedGraph:
    """A graph that may be planned and run: every node bound, `targets` the sinks it is run for."""

    nodes: Mapping[NodeId, TypedNode]
    order: tuple[NodeId, ...]
    targets: tuple[NodeId, ...]
