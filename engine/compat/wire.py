"""The messages of the community's socket protocol: `(type, data)` pairs of plain JSON values.

Times are milliseconds since 1970. The same pairs stand in the history as a job's milestones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Message: TypeAlias = tuple[str, dict[str, Any]]

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
_PICTURE_FORMATS = {"image/jpeg": 1, "image/png": 2}


def status(remaining: int, sid: str | None = None) -> Message:
    """How many jobs wait or run; `sid` once, to a socket that has just connected."""
    data: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": remaining}}}
    return "status", data if sid is None else data | {"sid": sid}


def execution_start(prompt_id: str, now: int) -> Message:
    """A prompt begins to run."""
    return "execution_start", {"prompt_id": prompt_id, "timestamp": now}


def execution_cached(prompt_id: str, nodes: Sequence[str], now: int) -> Message:
    """The results of `nodes` were there already."""
    return "execution_cached", {"nodes": list(nodes), "prompt_id": prompt_id, "timestamp": now}


def executing(prompt_id: str, node: str | None) -> Message:
    """A node begins to work; None at the very end."""
    if node is None:
        return "executing", {"node": None, "prompt_id": prompt_id}
    return "executing", {"node": node, "display_node": node, "prompt_id": prompt_id}


def progress(prompt_id: str, node: str, value: int, total: int) -> Message:
    """A node has done `value` of `total` steps."""
    return "progress", {"value": value, "max": total, "prompt_id": prompt_id, "node": node}


def node_progress(prompt_id: str, node: str, value: float, total: float, state: str) -> dict[str, Any]:
    """The entry of a node in `progress_state`; `state` is running, finished or error."""
    return {"value": value, "max": total, "state": state, **_node(node), "prompt_id": prompt_id}


def progress_state(prompt_id: str, nodes: Iterable[Mapping[str, Any]]) -> Message:
    """The progress of nodes, entries of `node_progress`."""
    return "progress_state", {"prompt_id": prompt_id, "nodes": {entry["node_id"]: dict(entry) for entry in nodes}}


def executed(prompt_id: str, node: str, output: Mapping[str, Any]) -> Message:
    """An output node is done; `output` is what it shows."""
    return "executed", {"node": node, "display_node": node, "output": dict(output), "prompt_id": prompt_id}


def execution_success(prompt_id: str, now: int) -> Message:
    """Every output of a prompt is done."""
    return "execution_success", {"prompt_id": prompt_id, "timestamp": now}


def execution_error(
    prompt_id: str,
    *,
    node: str,
    node_type: str,
    executed: Sequence[str],
    message: str,
    exception: str,
    inputs: Mapping[str, str],
    now: int,
) -> Message:
    """A node raised; the message ends with a newline, as clients know it; tracebacks stay at home."""
    return "execution_error", {
        "prompt_id": prompt_id,
        "node_id": node,
        "node_type": node_type,
        "executed": list(executed),
        "exception_message": f"{message}\n",
        "exception_type": exception,
        "traceback": [],
        "current_inputs": {name: [value] for name, value in inputs.items()},
        "current_outputs": list(executed),
        "timestamp": now,
    }


def execution_interrupted(prompt_id: str, *, node: str, node_type: str, executed: Sequence[str], now: int) -> Message:
    """A prompt was stopped."""
    return "execution_interrupted", {
        "prompt_id": prompt_id,
        "node_id": node,
        "node_type": node_type,
        "executed": list(executed),
        "timestamp": now,
    }


def meta(nodes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What the history says of each node that shows something."""
    return {node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node} for node in nodes}


def preview_frame(picture: bytes, media_type: str) -> bytes:
    """A binary frame with a picture alone."""
    return _number(PREVIEW) + _number(_PICTURE_FORMATS[media_type]) + picture


def preview_frame_with_metadata(prompt_id: str, node: str, picture: bytes, media_type: str) -> bytes:
    """A binary frame with a picture and what it belongs to, for clients that asked for it."""
    text = json.dumps({**_node(node), "prompt_id": prompt_id, "image_type": media_type}).encode()
    return _number(PREVIEW_WITH_METADATA) + _number(len(text)) + text + picture


def _node(node: str) -> dict[str, Any]:
    return {"node_id": node, "display_node_id": node, "parent_node_id": None, "real_node_id": node}


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
