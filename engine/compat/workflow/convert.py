"""The editor's workflow as the prompt that it stands for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from engine.compat import prompt_json
from engine.compat.workflow.document import InputSlot, Workflow, WorkflowNode
from engine.compat.workflow.flatten import Scope, flatten
from engine.compat.workflow.links import VIRTUAL, NoSource, Resolver
from engine.compat.workflow.text import expand_prompt, fill_placeholders
from engine.compat.workflow.widgets import widget_values
from engine.foundation.json import JsonValue
from engine.graph.diagnostics import shown
from engine.graph.document import DocumentError, PromptDocument
from engine.graph.graph import Constant, Input, Node, NodeId
from engine.graph.spec import InputSpec, NodeSpec, StringWidget

_PREFIX = "filename_prefix"
_REPLACE_IN_PRIMITIVE = "Run widget replace on values"
_NAME_IN_TEXTS = "Node name for S&R"


def to_prompt(
    workflow: Workflow,
    specs: Mapping[str, NodeSpec],
    *,
    rng: random.Random | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """The prompt JSON of `workflow`: subgraphs opened up, notes, reroutes, muted and bypassed nodes gone.

    Ids inside a subgraph are paths such as `12:7`. A node of a type that `specs` does not have keeps what the file
    names, so that binding can report it. `rng` makes the choices of `{a|b}`, `now` fills in dates. The workflow is not
    changed. Raises `DocumentError` for a workflow that is too large once its subgraphs are opened up.
    """
    nodes = [(scope, node) for scope, node in flatten(workflow, specs) if node.type not in VIRTUAL]
    conversion = _Conversion(specs, rng or random.Random(), now or datetime.now())
    converted: dict[NodeId, Node] = {}
    for scope, node in nodes:
        if node.mode == "normal":
            result = conversion.node(scope, node)
            if result.id in converted:
                raise DocumentError("$.nodes", f"two nodes have the id {shown(result.id)} once subgraphs are opened up")
            converted[result.id] = result
    return prompt_json.write(PromptDocument(converted))


class _Conversion:
    """One conversion: the node types, the dice, the clock, and the links followed so far."""

    def __init__(self, specs: Mapping[str, NodeSpec], rng: random.Random, now: datetime) -> None:
        self._specs = specs
        self._rng = rng
        self._now = now
        self._resolver = Resolver(self._primitive_value)
        self._names: dict[Scope, dict[str, WorkflowNode]] = {}

    def node(self, scope: Scope, node: WorkflowNode) -> Node:
        """`node` with the values of its widgets, then with what its links bring."""
        spec = self._specs.get(node.type)
        declared = {item.name: item for item in spec.inputs} if spec else {}
        given: dict[str, Input] = {name: Constant(value) for name, value in widget_values(node, spec).items()}
        for slot in node.inputs:
            source = self._resolver.source(scope, slot)
            if source is NoSource.GONE:
                given.pop(slot.name, None)
            elif isinstance(source, Constant):
                if _takes_value(slot, declared.get(slot.name)):
                    given[slot.name] = source
            elif source is not NoSource.UNLINKED:
                given[slot.name] = source
        sent = {name: self._sent(scope, item, name, declared.get(name)) for name, item in given.items()}
        order = dict.fromkeys([*(name for name in declared if name in sent), *sent])
        return Node(NodeId(scope.id_of(node)), node.type, {name: sent[name] for name in order}, node.title)

    def _sent(self, scope: Scope, item: Input, name: str, declared: InputSpec | None) -> Input:
        """`item` as the editor sends it: texts change on their way."""
        if not isinstance(item, Constant) or not isinstance(item.value, str):
            return item
        if name == _PREFIX:
            value_of = partial(self._value_of, scope, linked=True)
            return Constant(fill_placeholders(item.value, self._now, value_of))
        widget = declared.widget if declared else None
        if isinstance(widget, StringWidget) and widget.dynamic_prompts:
            return Constant(expand_prompt(item.value, self._rng))
        return item

    def _value_of(self, scope: Scope | None, name: str, widget: str, linked: bool) -> JsonValue:
        """The value of a widget of the node that texts call `name`, in this graph level or the ones around it.

        With `linked` the value that is sent in its place, if a link brings one. Primitives must not ask for that: two
        of them could wait for each other.
        """
        while scope is not None:
            node = self._named(scope).get(name)
            if node is not None:
                slots = (slot for slot in node.inputs if linked and slot.name == widget)
                for source in (self._resolver.source(scope, slot) for slot in slots):
                    if isinstance(source, Constant):
                        return source.value
                return widget_values(node, self._specs.get(node.type)).get(widget)
            scope = scope.parent
        return None

    def _named(self, scope: Scope) -> Mapping[str, WorkflowNode]:
        """The nodes of a level by the name that texts use; that name wins over a title, the first node over others."""
        if scope not in self._names:
            nodes = list(scope.level.nodes.values())[::-1]
            titles = {node.title: node for node in nodes if node.title}
            names = ((node.properties.get(_NAME_IN_TEXTS), node) for node in nodes)
            self._names[scope] = titles | {name: node for name, node in names if isinstance(name, str)}
        return self._names[scope]

    def _primitive_value(self, scope: Scope, node: WorkflowNode) -> JsonValue:
        value = node.values[0] if node.values else node.named.get("value")
        if isinstance(value, str) and node.properties.get(_REPLACE_IN_PRIMITIVE):
            return fill_placeholders(value, self._now, partial(self._value_of, scope, linked=False))
        return value


def _takes_value(slot: InputSlot, declared: InputSpec | None) -> bool:
    return slot.widget if declared is None else declared.widget is not None
