"""The editor's workflow as values: graph levels (the root and each subgraph definition) of nodes and links.

Only what running needs is kept; positions, colours, groups and the rest of the drawing stay in the file. All ids are
text, whatever the file wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from engine.foundation.json import JsonValue

Mode: TypeAlias = Literal["normal", "muted", "bypassed"]


@dataclass(frozen=True, slots=True)
class InputSlot:
    """A saved input: `link` is the id of the link that ends in it, `widget` says that it belongs to a widget.

    Files list inputs in an order of their own and leave out unlinked widgets, so inputs are found by `name`.
    """

    name: str
    type: str = "*"
    link: str | None = None
    widget: bool = False


@dataclass(frozen=True, slots=True)
class OutputSlot:
    """A saved output, addressed by its position."""

    name: str
    type: str = "*"


@dataclass(frozen=True, slots=True)
class WorkflowLink:
    """From output number `output` of node `source` to input number `input` of node `target`."""

    id: str
    source: str
    output: int
    target: str
    input: int


@dataclass(frozen=True, slots=True)
class WorkflowNode:
    """A node as saved. `values` are its widgets' values in order, or by name where the file says so (`named` wins)."""

    id: str
    type: str
    mode: Mode = "normal"
    title: str = ""
    inputs: Sequence[InputSlot] = ()
    outputs: Sequence[OutputSlot] = ()
    values: Sequence[JsonValue] = ()
    named: Mapping[str, JsonValue] = field(default_factory=dict)
    properties: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Level:
    """The root graph, or the inside of a subgraph: there `inputs` and `outputs` name its sockets in order.

    Links from node `input_node` carry the subgraph's inputs, `results` are the links that feed its outputs by position.
    """

    nodes: Mapping[str, WorkflowNode]
    links: Mapping[str, WorkflowLink]
    name: str = ""
    input_node: str | None = None
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    results: Mapping[int, WorkflowLink] = field(default_factory=dict)

    def kinds(self) -> set[str]:
        """The node types of this level; the id of a subgraph is the type of its instances."""
        return {node.type for node in self.nodes.values()}


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow: its root and its subgraph definitions by id, each after the definitions that it uses."""

    root: Level
    subgraphs: Mapping[str, Level] = field(default_factory=dict)
