"""Reader of the editor's workflow JSON: version 0.4 and schema version 1, and the shapes that old files have.

Tolerant where files differ (ids and positions as text, links as lists or objects, lists that are null), strict where
guessing would change what runs. Keys it does not know are left alone: nothing here writes such files.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import Any

from engine.compat.workflow.document import InputSlot, Level, Mode, OutputSlot, Workflow, WorkflowLink, WorkflowNode
from engine.foundation.json import JsonValue
from engine.graph.diagnostics import shown
from engine.graph.document import DocumentError

MAX_NODES = 100_000

_MODES: dict[int, Mode] = {2: "muted", 4: "bypassed"}
_LINK_FIELDS = ("id", "origin_id", "origin_slot", "target_id", "target_slot")


def is_workflow(data: JsonValue) -> bool:
    """Whether parsed JSON looks like a workflow of the editor."""
    return isinstance(data, dict) and isinstance(data.get("nodes"), list)


def is_prompt(data: JsonValue) -> bool:
    """Whether parsed JSON looks like a prompt (the API format): an object of nodes, one of them with a type."""
    if not isinstance(data, dict) or is_workflow(data):
        return False
    return any(isinstance(node, dict) and "class_type" in node for node in data.values())


def read_workflow(data: JsonValue) -> Workflow:
    """The workflow in parsed JSON.

    Raises `DocumentError` with the JSON path of the first fault of shape, and for subgraphs that contain themselves.
    """
    if not is_workflow(data):
        raise DocumentError("$", f"expected a workflow, an object with a list of nodes, got {shown(data)}")
    root = _level(data, "$")
    definitions = _object(data.get("definitions") or {}, "$.definitions", "an object")
    path = "$.definitions.subgraphs"
    subgraphs: dict[str, Level] = {}
    for number, item in enumerate(_list(definitions.get("subgraphs"), path)):
        place = f"{path}[{number}]"
        subgraph = _object(item, place, "a subgraph")
        key = _id(subgraph.get("id"), f"{place}.id")
        if key in subgraphs:
            raise DocumentError(f"{place}.id", f"two subgraphs have the id {shown(key)}")
        subgraphs[key] = _level(subgraph, place)
    return Workflow(root, {key: subgraphs[key] for key in _inner_first(subgraphs, path)})


def _inner_first(subgraphs: dict[str, Level], path: str) -> list[str]:
    uses = {key: level.kinds() & subgraphs.keys() for key, level in subgraphs.items()}
    try:
        return list(TopologicalSorter(uses).static_order())
    except CycleError as error:
        names = " in ".join(shown(subgraphs[key].name or key) for key in error.args[1][:8])
        raise DocumentError(path, f"a subgraph contains itself: {names}") from error


def _level(data: dict[str, Any], path: str) -> Level:
    nodes: dict[str, WorkflowNode] = {}
    items = _list(data.get("nodes"), f"{path}.nodes")
    if len(items) > MAX_NODES:
        raise DocumentError(f"{path}.nodes", f"{len(items)} nodes are more than the limit of {MAX_NODES}")
    for number, item in enumerate(items):
        node = _node(item, f"{path}.nodes[{number}]")
        if node.id in nodes:
            raise DocumentError(f"{path}.nodes[{number}].id", f"two nodes have the id {shown(node.id)}")
        nodes[node.id] = node
    rows = enumerate(_list(data.get("links"), f"{path}.links"))
    links = [_link(item, f"{path}.links[{number}]") for number, item in rows if item is not None]
    result_node = _boundary(data, "outputNode", "-20", path)
    return Level(
        nodes=nodes,
        links={link.id: link for link in links},
        name=_text(data.get("name")),
        input_node=_boundary(data, "inputNode", "-10", path) if path != "$" else None,
        inputs=_names(data.get("inputs"), f"{path}.inputs"),
        outputs=_names(data.get("outputs"), f"{path}.outputs"),
        results={link.input: link for link in links if link.target == result_node},
    )


def _boundary(data: dict[str, Any], key: str, default: str, path: str) -> str:
    """The id under which links name the border of a subgraph."""
    node = data.get(key)
    return _id(node["id"], f"{path}.{key}.id") if isinstance(node, dict) and "id" in node else default


def _names(data: JsonValue, path: str) -> list[str]:
    rows = enumerate(_list(data, path))
    return [_text(_object(item, f"{path}[{number}]", "a socket").get("name")) for number, item in rows]


def _node(data: JsonValue, path: str) -> WorkflowNode:
    data = _object(data, path, "a node")
    if not isinstance(data.get("type"), str):
        raise DocumentError(f"{path}.type", f"expected the name of a node type, got {shown(data.get('type'))}")
    values, named, properties = (data.get(key) for key in ("widgets_values", "widgets_values_named", "properties"))
    by_name = {**(values if isinstance(values, dict) else {}), **(named if isinstance(named, dict) else {})}
    inputs, outputs = (_list(data.get(key), f"{path}.{key}") for key in ("inputs", "outputs"))
    return WorkflowNode(
        id=_id(data.get("id"), f"{path}.id"),
        type=data["type"],
        mode=_MODES.get(_number(data.get("mode", 0), f"{path}.mode"), "normal"),
        title=_text(data.get("title")),
        inputs=[_input(item, f"{path}.inputs[{number}]") for number, item in enumerate(inputs)],
        outputs=[_output(item, f"{path}.outputs[{number}]") for number, item in enumerate(outputs)],
        values=values if isinstance(values, list) else (),
        named=by_name,
        properties=properties if isinstance(properties, dict) else {},
    )


def _input(data: JsonValue, path: str) -> InputSlot:
    data = _object(data, path, "an input")
    link = data.get("link")
    return InputSlot(
        name=_text(data.get("name")),
        type=_type(data.get("type")),
        link=None if link is None else _id(link, f"{path}.link"),
        widget=isinstance(data.get("widget"), dict),
    )


def _output(data: JsonValue, path: str) -> OutputSlot:
    data = _object(data, path, "an output")
    return OutputSlot(_text(data.get("name")), _type(data.get("type")))


def _type(data: JsonValue) -> str:
    """Old files write the list of choices for a combo, and numbers for the any type and for events."""
    if isinstance(data, str):
        return data
    return "COMBO" if isinstance(data, list) else "*"


def _link(data: JsonValue, path: str) -> WorkflowLink:
    if isinstance(data, list) and len(data) >= len(_LINK_FIELDS):
        steps: dict[str, JsonValue] = {f"[{number}]": data[number] for number in range(len(_LINK_FIELDS))}
    elif isinstance(data, dict):
        steps = {f".{key}": data.get(key) for key in _LINK_FIELDS}
    else:
        raise DocumentError(path, f"expected a link of {len(_LINK_FIELDS)} fields or more, got {shown(data)}")
    (key, source, output, target, position) = ((value, f"{path}{step}") for step, value in steps.items())
    return WorkflowLink(_id(*key), _id(*source), _number(*output), _id(*target), _number(*position))


def _id(data: JsonValue, path: str) -> str:
    if isinstance(data, str) and data:
        return data
    if isinstance(data, int) and not isinstance(data, bool):
        return str(data)
    raise DocumentError(path, f"expected an id, a number or text, got {shown(data)}")


def _number(data: JsonValue, path: str) -> int:
    """A position or mode; old files write some as text."""
    if isinstance(data, str) and data.isascii() and data.isdigit() and len(data) < 10:
        return int(data)
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    raise DocumentError(path, f"expected a whole number, got {shown(data)}")


def _text(data: JsonValue) -> str:
    return data if isinstance(data, str) else ""


def _object(data: JsonValue, path: str, expected: str) -> dict[str, Any]:
    if isinstance(data, dict):
        return data
    raise DocumentError(path, f"expected {expected}, got {shown(data)}")


def _list(data: JsonValue, path: str) -> list[Any]:
    if data is None:
        return []
    if isinstance(data, list):
        return data
    raise DocumentError(path, f"expected a list, got {shown(data)}")
