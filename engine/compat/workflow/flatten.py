"""Subgraph instances opened up: every graph level that runs, with its place among the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.compat.workflow.document import InputSlot, Level, Workflow, WorkflowNode
from engine.compat.workflow.read import MAX_NODES
from engine.compat.workflow.widgets import promoted_inputs, promoted_values
from engine.foundation.json import JsonValue
from engine.graph.document import DocumentError
from engine.graph.spec import NodeSpec

MAX_NESTING = 64


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A graph level at one place: the root, or the inside of one instance of a subgraph.

    `path` are the ids of the instances around it, joined by colons. `slots` are the instance's own inputs by name and
    `promoted` the values that it holds for its subgraph's inputs. `children` are the scopes of the instances inside.
    """

    level: Level
    path: str = ""
    parent: Scope | None = None
    slots: Mapping[str, InputSlot] = field(default_factory=dict)
    promoted: Mapping[int, JsonValue] = field(default_factory=dict)
    children: dict[str, Scope] = field(default_factory=dict)

    def id_of(self, node: WorkflowNode) -> str:
        """The id of `node` in the prompt."""
        return f"{self.path}:{node.id}" if self.path else node.id


def flatten(workflow: Workflow, specs: Mapping[str, NodeSpec]) -> Iterator[tuple[Scope, WorkflowNode]]:
    """Every node with its scope in document order, the inside of an instance in its place.

    Instances themselves and the insides of muted and bypassed ones are left out; muted and bypassed nodes are not. The
    scopes are complete when the iterator is exhausted. Raises `DocumentError` when instances in instances make more
    than `MAX_NODES` nodes or nest deeper than `MAX_NESTING`.
    """
    promoted = promoted_inputs(workflow.subgraphs, specs)
    root = Scope(workflow.root)
    total = len(root.level.nodes)
    stack = [(root, iter(root.level.nodes.values()))]
    while stack:
        scope, nodes = stack[-1]
        node = next(nodes, None)
        if node is None:
            stack.pop()
        elif node.type not in workflow.subgraphs:
            yield scope, node
        elif node.mode == "normal":
            level = workflow.subgraphs[node.type]
            total += len(level.nodes)
            if total > MAX_NODES or len(stack) > MAX_NESTING:
                raise _too_large(total)
            values = promoted_values(node, level, promoted[node.type])
            slots = {slot.name: slot for slot in reversed(node.inputs)}
            scope.children[node.id] = Scope(level, scope.id_of(node), scope, slots, values)
            stack.append((scope.children[node.id], iter(level.nodes.values())))


def _too_large(total: int) -> DocumentError:
    if total > MAX_NODES:
        reason = f"with the insides of its subgraphs the workflow has more than {MAX_NODES} nodes"
    else:
        reason = f"its subgraphs nest deeper than {MAX_NESTING} levels"
    return DocumentError("$.definitions.subgraphs", reason)
