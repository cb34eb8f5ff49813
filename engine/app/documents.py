"""Files that people hand over, as graphs that may run."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from engine.compat import prompt_json
from engine.compat.media import prompt_from_file
from engine.foundation import json
from engine.foundation.errors import EaselError
from engine.graph.bind import bind
from engine.graph.build import build
from engine.graph.graph import TypedGraph
from engine.graph.spec import IntWidget, NodeSpec
from engine.store.folders import Folders
from engine.store.png_metadata import SIGNATURE, read_text_chunks


class ChangeError(EaselError):
    """A `--set` that names no input of the document."""

    code: ClassVar[str] = "bad_change"


@dataclass(frozen=True, slots=True)
class Document:
    """A prompt as JSON data, and the editor's workflow it came from as text (None if there was none)."""

    prompt: Mapping[str, Any]
    workflow: str | None

    def metadata(self) -> dict[str, str]:
        """The text chunks for pictures made from it."""
        texts = {"prompt": json.dumps(self.prompt)}
        return texts | ({"workflow": self.workflow} if self.workflow else {})


def read(path: Path, specs: Mapping[str, NodeSpec]) -> Document:
    """The document in a workflow or prompt file, or in a picture."""
    return Document(prompt_from_file(path, specs), _workflow_text(path))


def typed(document: Document, specs: Mapping[str, NodeSpec], folders: Folders) -> TypedGraph:
    """The graph of a document, bound. Raises `DocumentError` or `BindError` with everything that is wrong."""
    return bind(build(prompt_json.read(document.prompt)), specs, files=folders.list).require()


def changed(document: Document, changes: list[str]) -> Document:
    """The document with literals changed as `NODE.INPUT=VALUE` says; NODE is an id, a title or a type.

    VALUE is JSON if it reads as JSON, else text. Raises `ChangeError`.
    """
    prompt = deepcopy(dict(document.prompt))
    for change in changes:
        place, equals, value = change.partition("=")
        node_name, dot, input_name = place.rpartition(".")
        if not equals or not dot:
            raise ChangeError("this is no change", where="--set", got=change, expected="NODE.INPUT=VALUE")
        for node_id in _nodes_called(prompt, node_name, change):
            inputs = prompt[node_id].setdefault("inputs", {})
            inputs[input_name] = _value(value)
    return Document(prompt, document.workflow)


def with_seeds_moved(document: Document, specs: Mapping[str, NodeSpec], by: int) -> Document:
    """The document with `by` added to every seed that is a literal, within its range."""
    prompt = deepcopy(dict(document.prompt))
    for node in prompt.values():
        spec = specs.get(node.get("class_type", ""))
        for item in spec.inputs if spec else ():
            value = node.get("inputs", {}).get(item.name)
            if isinstance(item.widget, IntWidget) and item.widget.control_after_generate and type(value) is int:
                width = item.widget.max - item.widget.min + 1
                node["inputs"][item.name] = item.widget.min + (value - item.widget.min + by) % width
    return Document(prompt, document.workflow)


def _nodes_called(prompt: Mapping[str, Any], name: str, change: str) -> list[str]:
    if name in prompt:
        return [name]
    titled = [i for i, node in prompt.items() if name == (node.get("_meta") or {}).get("title")]
    found = titled or [i for i, node in prompt.items() if name == node.get("class_type")]
    if not found:
        known = ", ".join(f"{i} ({node.get('class_type')})" for i, node in list(prompt.items())[:20])
        raise ChangeError("no node is called that", where=f"--set {change}", got=name, hint=f"There are: {known}.")
    return found


def _value(text: str) -> Any:
    try:
        value = json.parse(text)
    except json.JsonError:
        return text
    return {"__value__": value} if isinstance(value, list) else value


def _workflow_text(path: Path) -> str | None:
    from engine.compat.workflow import is_workflow

    data = path.read_bytes()
    if data.startswith(SIGNATURE):
        return read_text_chunks(path).get("workflow")
    try:
        content = json.parse_lenient(data)
    except (json.JsonError, UnicodeDecodeError):
        return None
    return json.dumps(content) if is_workflow(content) else None
