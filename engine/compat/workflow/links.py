"""Where a link really comes from, through reroutes, bypassed nodes and the borders of subgraphs."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TypeAlias

from engine.compat.workflow.document import InputSlot, WorkflowLink, WorkflowNode
from engine.compat.workflow.flatten import Scope
from engine.foundation.json import JsonValue
from engine.graph.graph import Constant, Link, NodeId
from engine.graph.sockets import fits, is_any

NOTES = frozenset({"Note", "MarkdownNote"})
REROUTE = "Reroute"
PRIMITIVE = "PrimitiveNode"
SET, GET = "SetNode", "GetNode"
"""Links by name: what feeds a `SetNode` comes out of every `GetNode` of the same name."""
VIRTUAL = NOTES | {REROUTE, PRIMITIVE, SET, GET}
"""Node types that exist in the editor only."""


class NoSource(Enum):
    """Why a link brings nothing."""

    UNLINKED = auto()
    """It starts nowhere: a widget keeps its own value."""
    GONE = auto()
    """Its source is muted or missing: the input is dropped, so that binding reports it."""


Source: TypeAlias = Link | Constant | NoSource
PrimitiveValue: TypeAlias = Callable[[Scope, WorkflowNode], JsonValue]
_Position: TypeAlias = tuple[Scope, str, int, str]
"""A level, an output of a node in it, and the type that the target wants: all that the rest of a walk depends on."""
_Step: TypeAlias = "Source | tuple[Scope, WorkflowLink]"


class Resolver:
    """Follows links and remembers what it found: any number of links into one long chain cost one walk.

    `primitive_value` gives the value of a primitive node, None if it has none.
    """

    def __init__(self, primitive_value: PrimitiveValue) -> None:
        self._primitive_value = primitive_value
        self._found: dict[_Position, Source] = {}

    def source(self, scope: Scope, slot: InputSlot) -> Source:
        """What feeds the input `slot` of a node in `scope`: a node that runs, a value, or nothing."""
        step = _into(scope, slot)
        walked: list[tuple[_Position, Source]] = []
        while isinstance(step, tuple):
            place, link = step
            position = (place, link.source, link.output, slot.type)
            if position in self._found:
                step = self._found[position]
                break
            self._found[position] = NoSource.UNLINKED  # what a walk in a circle comes back to
            walked.append((position, _own_value(place, link)))
            step = self._upstream(place, link, slot.type)
        for position, own_value in reversed(walked):
            step = own_value if step is NoSource.UNLINKED else step
            self._found[position] = step
        return step

    def _upstream(self, scope: Scope, link: WorkflowLink, wanted: str) -> _Step:
        if link.source == scope.level.input_node:
            return _outside(scope, link.output)
        node = scope.level.nodes.get(link.source)
        if node is None:
            return NoSource.GONE
        if node.type == PRIMITIVE:
            value = self._primitive_value(scope, node)
            return NoSource.UNLINKED if value is None else Constant(value)
        if node.mode == "muted" or node.type in NOTES:
            return NoSource.GONE
        if node.mode == "bypassed":
            return _into(scope, _bypass(node, link.output, wanted))
        if node.type == GET:
            return _kept(scope, node)
        if node.type in (REROUTE, SET):
            return _into(scope, node.inputs[0] if node.inputs else None)
        if node.id in scope.children:
            return _inside(scope.children[node.id], node, link.output)
        return Link(NodeId(scope.id_of(node)), link.output)


def _into(scope: Scope, slot: InputSlot | None) -> _Step:
    if slot is None or slot.link is None or slot.link not in scope.level.links:
        return NoSource.UNLINKED
    return scope, scope.level.links[slot.link]


def _kept(scope: Scope, getter: WorkflowNode) -> _Step:
    """Into the first `SetNode` of the name that `getter` asks for, in its level or else in the levels around it."""
    name = _name(getter)
    level: Scope | None = scope
    while level is not None and name:
        for node in level.level.nodes.values():
            if node.type == SET and _name(node) == name:
                return NoSource.GONE if node.mode == "muted" else _into(level, node.inputs[0] if node.inputs else None)
        level = level.parent
    return NoSource.GONE


def _name(node: WorkflowNode) -> str:
    value = next(iter([*node.values, *node.named.values()]), None)
    return value if isinstance(value, str) else ""


def _own_value(scope: Scope, link: WorkflowLink) -> Source:
    """The value that the instance around `scope` holds for an input; it counts if nothing further out is linked."""
    if link.source == scope.level.input_node and link.output in scope.promoted:
        return Constant(scope.promoted[link.output])
    return NoSource.UNLINKED


def _outside(scope: Scope, number: int) -> _Step:
    """From input `number` of a subgraph to the link that its instance has there."""
    names = scope.level.inputs
    if scope.parent is None or not 0 <= number < len(names):
        return NoSource.UNLINKED
    return _into(scope.parent, scope.slots.get(names[number]))


def _inside(inner: Scope, instance: WorkflowNode, output: int) -> _Step:
    """From an output of an instance to what feeds it inside; saved outputs are matched with the definition by name."""
    names = list(inner.level.outputs)
    name = instance.outputs[output].name if 0 <= output < len(instance.outputs) else None
    if name in names and names[output : output + 1] != [name]:
        output = names.index(name)
    return (inner, inner.level.results[output]) if output in inner.level.results else NoSource.UNLINKED


def _bypass(node: WorkflowNode, output: int, wanted: str) -> InputSlot | None:
    """The input that stands in for an output of a bypassed node, for a target of type `wanted`."""
    same = node.inputs[output] if 0 <= output < len(node.inputs) else None
    if is_any(wanted):
        return same or (node.inputs[0] if node.inputs else None)
    given = node.outputs[output].type if 0 <= output < len(node.outputs) else "*"
    fitting = [slot for slot in node.inputs if fits(slot.type, given) and fits(slot.type, wanted)]
    if same in fitting:
        return same
    exact = (slot for slot in node.inputs if slot.type == wanted)
    return next(exact, fitting[0] if fitting else None)
