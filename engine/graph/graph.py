"""The graph types that travel from reader to executor. Each is frozen and complete; see `build` and `bind`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType, TypeAlias

from engine.foundation.json import JsonValue as JsonValue
from engine.graph.spec import NodeSpec

NodeId = NewType("NodeId", str)


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
    """Nodes in document order. `order` is topological, sources first; it leaves out nodes on a cycle or behind one.

    `cycles` has one cycle per knot of nodes that feed each other, in the direction the data flows. A link may name a
    node that is not there. Both are faults only of the outputs that depend on them, so `bind` judges them.
    """

    nodes: Mapping[NodeId, Node]
    order: tuple[NodeId, ...]
    cycles: tuple[tuple[NodeId, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class TypedNode:
    """A node bound to its spec: `constants` are coerced to the input's type, `links` are typed.

    Optional inputs that the document leaves out are in neither.
    """

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
