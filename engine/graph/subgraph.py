"""Subgraphs made at run time: a node answers with nodes instead of values, and the run continues with those.

A loop is a node that expands into its body and itself. Ids are made from the parent's id and a local name, never from
a counter that outlives the call, so that the same expansion has the same ids, and keys, in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

from engine.foundation.errors import EaselError
from engine.graph.graph import Constant, Input, Link, Node, NodeId

MAX_ID_LENGTH = 80


class ExpansionError(EaselError):
    """A subgraph that was put together wrongly."""

    code: ClassVar[str] = "bad_expansion"


@dataclass(frozen=True, slots=True)
class Expansion:
    """Nodes that take the place of the node that made them; `outputs` are its outputs, ready values or links.

    Links may lead to nodes of the expansion or to any node that exists when it is made.
    """

    nodes: Mapping[NodeId, Node]
    outputs: tuple[object, ...]


class NodeRef:
    """A node of a subgraph under construction."""

    def __init__(self, node_id: NodeId, inputs: dict[str, Input]) -> None:
        self.id = node_id
        self._inputs = inputs

    def out(self, output: int) -> Link:
        """A link to output number `output` of this node."""
        return Link(self.id, output)

    def set(self, name: str, value: object) -> None:
        """Set an input to a link or a value; also for names that are no Python words."""
        self._inputs[name] = value if isinstance(value, Link) else Constant(_not_a_node(value))


class GraphBuilder:
    """Collects the nodes of one expansion of the node `parent`.

    A node that is mapped over a list expands once for each element: `call` is the number of the element.
    """

    def __init__(self, parent: NodeId, call: int = 0) -> None:
        self._parent = parent
        self._call = call
        self._nodes: dict[NodeId, Node] = {}

    def node(self, node_type: str, local_id: str | None = None, /, **inputs: object) -> NodeRef:
        """Add a node. Its id is `parent.call.local`; the local name is the node's number unless `local_id` gives one.

        Inputs are links (`other.out(0)`) or values. Raises `ExpansionError` for a local name that is taken.
        """
        local = str(len(self._nodes)) if local_id is None else local_id
        node_id = child_id(self._parent, self._call, local)
        if node_id in self._nodes:
            raise ExpansionError(f"two nodes of one subgraph are called {local!r}", hint="Give one another name.")
        given: dict[str, Input] = {}
        self._nodes[node_id] = Node(node_id, node_type, given)
        ref = NodeRef(node_id, given)
        for name, value in inputs.items():
            ref.set(name, value)
        return ref

    def expansion(self, *outputs: object) -> Expansion:
        """The finished expansion, with a value or link for each output of the parent."""
        return Expansion(dict(self._nodes), tuple(map(_not_a_node, outputs)))


def child_id(parent: NodeId, call: int, local: str) -> NodeId:
    """`parent.call.local`, the same for the same three in every run and different for any others.

    Ids of nested expansions would grow with every round of a loop (and their bytes with its square), so the middle of a
    long one is replaced by its digest; the part before the first dot always stays.
    """
    full = f"{parent}.{call}.{local.replace('%', '%25').replace('.', '%2E')}"
    if len(full) > MAX_ID_LENGTH:
        full = f"{parent.partition('.')[0]}.~{blake2b(full.encode(), digest_size=16).hexdigest()}"
    return NodeId(full)


def _not_a_node(value: object) -> object:
    if isinstance(value, NodeRef):
        raise ExpansionError("a whole node is no value", got=f"node {value.id}", hint="Choose an output with .out(0).")
    return value
