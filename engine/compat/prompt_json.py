"""The community's prompt JSON, also called the API format: what programs post and what pictures carry.

`{node id: {"class_type": type, "inputs": {name: value}, "_meta": {"title": text}}}`, where a value is a literal or a
link `[node id, output number]`. A list of two is always a link; literal lists travel as `{"__value__": [...]}`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from engine.foundation.json import JsonValue
from engine.graph.diagnostics import shown
from engine.graph.document import DocumentError, PromptDocument
from engine.graph.graph import Constant, Graph, Input, Link, Node, NodeId, TypedGraph, TypedNode

_WRAPPER = "__value__"


def read(data: JsonValue) -> PromptDocument:
    """The document in parsed JSON. Raises `DocumentError` with the JSON path of the first fault of shape."""
    if not isinstance(data, dict):
        raise DocumentError("$", f"expected an object with a node for each id, got {shown(data)}")
    if isinstance(data.get("nodes"), list):
        raise DocumentError("$", "this is a workflow of the editor, not a prompt", hint="Convert it first.")
    return PromptDocument({NodeId(node_id): _node(node_id, value) for node_id, value in data.items()})


def write(source: PromptDocument | Graph | TypedGraph) -> dict[str, Any]:
    """The prompt JSON of `source`, in its order; `read` gives back the same nodes."""
    return {node_id: _written(node) for node_id, node in source.nodes.items()}


def _node(node_id: str, data: JsonValue) -> Node:
    path = f"${_step(node_id)}"
    if not isinstance(data, dict):
        raise DocumentError(path, f"expected a node, an object with class_type and inputs, got {shown(data)}")
    class_type = _member(data, "class_type", str, "the name of a node type", path)
    inputs = _member(data, "inputs", dict, "an object with a value for each input", path)
    meta = data.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return Node(
        NodeId(node_id),
        class_type,
        {name: _input(value, name, path) for name, value in inputs.items()},
        title if isinstance(title, str) else "",
    )


def _member(data: dict[str, Any], key: str, kind: type, expected: str, path: str) -> Any:
    if key not in data:
        raise DocumentError(f"{path}.{key}", f"expected {expected}, got nothing")
    if not isinstance(data[key], kind):
        raise DocumentError(f"{path}.{key}", f"expected {expected}, got {shown(data[key])}")
    return data[key]


def _input(value: JsonValue, name: str, path: str) -> Input:
    """A link, a literal, or a list of another length: that is a fault of the input alone, which binding reports."""
    if isinstance(value, dict) and _WRAPPER in value:
        return Constant(value[_WRAPPER])
    if not isinstance(value, list) or len(value) != 2:
        return Constant(value)
    source, output = value
    if _is(source, str, int) and _is(output, int):
        return Link(NodeId(str(source)), output)
    raise DocumentError(
        f"{path}.inputs{_step(name)}",
        f"expected a link [node id, output number], got [{shown(source)}, {shown(output)}]",
        hint='A literal list of two is written {"__value__": [...]}.',
    )


def _is(value: JsonValue, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _step(key: str) -> str:
    """A key as a step of a JSON path."""
    return f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", key) else f"[{json.dumps(key)}]"


def _written(node: Node | TypedNode) -> dict[str, Any]:
    if isinstance(node, Node):
        class_type, inputs = node.type, {name: _written_input(item) for name, item in node.inputs.items()}
    else:
        class_type, inputs = node.spec.id, _in_order(node)
    data: dict[str, Any] = {"class_type": class_type, "inputs": inputs}
    return data | {"_meta": {"title": node.title}} if node.title else data


def _in_order(node: TypedNode) -> dict[str, Any]:
    """Declared inputs in the order of the spec, then the undeclared ones of a node that takes any."""
    given: dict[str, Input] = {**{name: Constant(value) for name, value in node.constants.items()}, **node.links}
    names = [name for item in node.spec.inputs for name in (item.name, *(part.name for part in item.parts()))]
    return {name: _written_input(given[name]) for name in dict.fromkeys([*names, *given]) if name in given}


def _written_input(item: Input) -> JsonValue:
    if isinstance(item, Link):
        return [item.source, item.output]
    if isinstance(item.value, list) or (isinstance(item.value, dict) and _WRAPPER in item.value):
        return {_WRAPPER: item.value}
    return item.value
