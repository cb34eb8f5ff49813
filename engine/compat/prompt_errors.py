"""What is wrong with a prompt, as the community's clients read it: error types, messages, details and `extra_info`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.compat.object_info import input_config
from engine.foundation.json import JsonValue
from engine.graph import topology
from engine.graph.bind_node import dependencies
from engine.graph.diagnostics import Diagnostic
from engine.graph.graph import Graph, NodeId
from engine.graph.literals import Files
from engine.graph.spec import ChoiceWidget, InputSpec, NodeSpec

_LONGEST_LIST = 20
_MOST_EXPLAINED = 200  # finding the outputs that suffer costs a walk for each faulty node

_MESSAGES: Mapping[str, str] = {
    "required_input_missing": "Required input is missing",
    "bad_linked_input": "Bad linked input, must be a length-2 list of [node_id, slot_index]",
    "return_type_mismatch": "Return type mismatch between linked nodes",
    "value_not_in_list": "Value not in list",
    "custom_validation_failed": "Custom validation failed for node",
    "missing_link_source": "A linked node does not exist",
    "bad_output_slot": "A linked node has no such output",
    "graph_cycle": "Nodes feed each other in a circle",
}


def top_error(faults: Sequence[Diagnostic], sinks: Iterable[NodeId]) -> dict[str, Any]:
    """The error of the whole prompt: `{"type", "message", "details", "extra_info"}`."""
    for fault in faults:
        match fault.code:
            case "unknown_node_type":
                message = f"Cannot execute because node {fault.node_type} does not exist."
                return _error("invalid_prompt", message, f"Node ID '#{fault.node}'", {"hint": fault.hint})
            case "prompt_no_outputs":
                return _error(
                    "prompt_no_outputs", "Prompt has no outputs", f"{fault.message}. {fault.hint}".strip(), {}
                )
    cycle = next((fault for fault in faults if fault.code == "graph_cycle"), None)
    if cycle is not None:
        return _error("graph_cycle", _MESSAGES["graph_cycle"], cycle.message, dict(cycle.extra))
    own = set(sinks)
    lines = [_line(fault) for fault in faults if fault.node in own]
    return _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(lines), {})


def node_errors(
    faults: Sequence[Diagnostic], graph: Graph, specs: Mapping[str, NodeSpec], files: Files
) -> dict[str, Any]:
    """The faults of each node: `{id: {"errors", "dependent_outputs", "class_type"}}`."""
    by_node: dict[NodeId, list[Diagnostic]] = defaultdict(list)
    for fault in faults:
        if fault.node is not None and fault.node in graph.nodes:
            by_node[fault.node].append(fault)
    if not by_node:
        return {}
    dependents = _dependents(graph, specs)
    errors: dict[str, Any] = {}
    for number, (node_id, own) in enumerate(by_node.items()):
        node = graph.nodes[node_id]
        spec = specs.get(node.type)
        outputs = _sinks_behind(node_id, graph, specs, dependents) if number < _MOST_EXPLAINED else []
        errors[node_id] = {
            "errors": [node_error(fault, spec, files) for fault in own],
            "dependent_outputs": outputs,
            "class_type": node.type,
        }
    return errors


def node_error(fault: Diagnostic, spec: NodeSpec | None, files: Files) -> dict[str, Any]:
    """One fault of a node."""
    item = spec.input(fault.input) if spec is not None and fault.input is not None else None
    extra: dict[str, JsonValue] = {**fault.extra, "hint": fault.hint} if fault.hint else dict(fault.extra)
    if fault.input is not None:
        extra["input_name"] = fault.input
    if item is not None and fault.code not in ("required_input_missing", "custom_validation_failed"):
        extra["input_config"] = _config(fault, item, files)
    return _error(fault.code, _message(fault, item), _details(fault, item, files), extra)


def _message(fault: Diagnostic, item: InputSpec | None) -> str:
    if fault.code == "invalid_input_type" and item is not None:
        return f"Failed to convert an input value to a {item.type} value"
    if fault.code in ("value_smaller_than_min", "value_bigger_than_max"):
        return fault.message[0].upper() + fault.message[1:]
    return _MESSAGES.get(fault.code, fault.message)


def _details(fault: Diagnostic, item: InputSpec | None, files: Files) -> str:
    name = fault.input or ""
    match fault.code:
        case "return_type_mismatch":
            wanted = item.type if item is not None else fault.expected
            return f"{name}, received_type({fault.extra.get('received_type')}) mismatch input_type({wanted})"
        case "invalid_input_type":
            return f"{name}, {fault.extra.get('received_value')}, {fault.extra.get('exception_message')}"
        case "value_not_in_list":
            return f"{name}: {fault.extra.get('received_value')!r} not in {_offered(item, files)}"
        case "custom_validation_failed":
            return f"{name} - {fault.message}" if name else fault.message
        case "missing_link_source" | "bad_output_slot" | "graph_cycle":
            return str(fault)
    return name


def _offered(item: InputSpec | None, files: Files) -> str:
    choices = input_config(item, files)[0] if item is not None else []
    if not isinstance(choices, list) or len(choices) > _LONGEST_LIST:
        return f"(list of length {len(choices)})"
    return str(choices)


def _config(fault: Diagnostic, item: InputSpec, files: Files) -> list[Any] | None:
    config = input_config(item, files)
    is_long = isinstance(item.widget, ChoiceWidget) and len(config[0]) > _LONGEST_LIST
    return None if is_long and fault.code == "value_not_in_list" else config


def _line(fault: Diagnostic) -> str:
    error = node_error(fault, None, lambda _kind: ())
    return f"{error['message']}: {error['details']}"


def _dependents(graph: Graph, specs: Mapping[str, NodeSpec]) -> dict[NodeId, list[NodeId]]:
    """Who uses a node, for every node."""
    dependents: dict[NodeId, list[NodeId]] = defaultdict(list)
    for node in graph.nodes.values():
        for source in dependencies(node, specs.get(node.type)):
            dependents[source].append(node.id)
    return dependents


def _sinks_behind(
    node_id: NodeId,
    graph: Graph,
    specs: Mapping[str, NodeSpec],
    dependents: Mapping[NodeId, list[NodeId]],
) -> list[str]:
    reached = topology.ancestors([node_id], lambda node: dependents.get(node, []))
    return [node for node in graph.nodes if node in reached and _is_sink(graph.nodes[node].type, specs)]


def _is_sink(node_type: str, specs: Mapping[str, NodeSpec]) -> bool:
    spec = specs.get(node_type)
    return spec is not None and spec.sink


def _error(code: str, message: str, details: str, extra: Mapping[str, JsonValue]) -> dict[str, Any]:
    return {"type": code, "message": message, "details": details, "extra_info": dict(extra)}
