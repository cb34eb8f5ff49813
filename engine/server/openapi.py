"""The OpenAPI 3.1 description of `/api/v1` and of the community's routes that programs use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_ANY_OBJECT: Schema = {"type": "object"}
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
_IDS: Schema = {"type": "array", "items": _TEXT}
_STATE: Schema = {"enum": ["pending", "running", "done", "failed", "cancelled", "quarantined"]}
_NODE: Schema = {
    "type": "object",
    "required": ["class_type", "inputs"],
    "properties": {"class_type": _TEXT, "inputs": _ANY_OBJECT, "_meta": _ANY_OBJECT},
}
_SUBMISSION: Schema = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "object", "additionalProperties": _NODE, "description": "Nodes by id"},
        "prompt_id": {
            "type": "string",
            "maxLength": 200,
            "description": "The job's id; the same request again is safe",
        },
        "client_id": _TEXT,
        "extra_data": _ANY_OBJECT,
        "number": {"type": "number", "description": "Place in the queue, the lowest first"},
        "front": _FLAG,
        "priority": {"type": "integer", "minimum": -(2**31) + 1, "maximum": 2**31 - 1},
        "partial_execution_targets": _IDS,
    },
}
_JOB: Schema = {
    "type": "object",
    "required": ["id", "state", "priority", "number", "attempt", "created", "outputs"],
    "properties": {
        "id": _TEXT,
        "state": _STATE,
        "priority": {"type": "integer"},
        "number": {"type": "number"},
        "attempt": {"type": "integer"},
        "deaths": {"type": "integer"},
        "client_id": {"type": ["string", "null"]},
        "workflow_id": {"type": ["string", "null"]},
        "created": {"type": "integer", "description": "Milliseconds since 1970"},
        "started": {"type": ["integer", "null"]},
        "ended": {"type": ["integer", "null"]},
        "targets": _IDS,
        "outputs": _ANY_OBJECT,
        "error": {"type": ["object", "null"]},
    },
}
_JOB_REF: Schema = {"$ref": "#/components/schemas/Job"}
_PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT, "code": _TEXT},
}
_QUEUE: Schema = {
    "type": "object",
    "required": ["paused", "running", "waiting"],
    "properties": {
        "paused": _FLAG,
        "running": {"type": "array", "items": _JOB_REF},
        "waiting": {"type": "array", "items": _JOB_REF},
    },
}
_PAGE: dict[str, Schema] = {"limit": {**_COUNT, "minimum": 1}, "offset": _COUNT}
_CLEAR: Schema = {"type": "object", "properties": {"clear": _FLAG, "delete": _IDS}}

# method, path, summary, query, body, (status, schema of the answer; None: no JSON)
_Row: TypeAlias = tuple[str, str, str, Mapping[str, Schema], Schema | None, tuple[int, Schema | None]]
_ROWS: tuple[_Row, ...] = (
    ("post", "/api/v1/jobs", "Queue a job", {}, {"$ref": "#/components/schemas/Submission"}, (201, _JOB_REF)),
    ("get", "/api/v1/jobs", "A page of jobs", {"state": _TEXT, "workflow": _TEXT, **_PAGE}, None, (200, _ANY_OBJECT)),
    ("get", "/api/v1/jobs/{id}", "A job", {}, None, (200, _JOB_REF)),
    ("delete", "/api/v1/jobs/{id}", "Forget an ended job", {}, None, (204, None)),
    ("post", "/api/v1/jobs/{id}/cancel", "Cancel a job", {}, None, (202, _JOB_REF)),
    ("post", "/api/v1/jobs/{id}/retry", "Queue a failed job again", {}, None, (202, _JOB_REF)),
    ("get", "/api/v1/jobs/{id}/events", "Numbered events", {"after": _COUNT}, None, (200, _ANY_OBJECT)),
    ("get", "/api/v1/jobs/{id}/files", "Files of a job", {}, None, (200, _ANY_OBJECT)),
    ("get", "/api/v1/jobs/{id}/files/{place}", "A file of a job", {}, None, (200, None)),
    ("get", "/api/v1/queue", "The queue", {}, None, (200, _QUEUE)),
    ("post", "/api/v1/queue/pause", "Start no more jobs", {}, None, (200, _QUEUE)),
    ("post", "/api/v1/queue/resume", "Start jobs again", {}, None, (200, _QUEUE)),
    (
        *("post", "/api/v1/queue/order", "Put waiting jobs into an order", {}),
        *({"type": "object", "required": ["ids"], "properties": {"ids": _IDS}}, (200, _QUEUE)),
    ),
    ("get", "/api/v1/node_types", "Every node type", {}, None, (200, _ANY_OBJECT)),
    ("get", "/api/v1/node_types/{name}", "A node type", {}, None, (200, _ANY_OBJECT)),
    ("get", "/api/v1/models/{kind}", "Model files of a kind", {}, None, (200, _ANY_OBJECT)),
    ("get", "/api/v1/openapi.json", "This description", {}, None, (200, _ANY_OBJECT)),
    ("get", "/healthz", "Whether the server answers", {}, None, (200, _ANY_OBJECT)),
    ("get", "/metrics", "Figures for Prometheus", {}, None, (200, None)),
    ("post", "/prompt", "Queue a prompt", {}, {"$ref": "#/components/schemas/Submission"}, (200, _ANY_OBJECT)),
    ("get", "/prompt", "How many jobs wait or run", {}, None, (200, _ANY_OBJECT)),
    ("get", "/queue", "Jobs that run and wait", {}, None, (200, _ANY_OBJECT)),
    ("post", "/queue", "Remove waiting jobs", {}, _CLEAR, (200, None)),
    (
        *("post", "/interrupt", "Stop what runs", {}),
        *({"type": "object", "properties": {"prompt_id": _TEXT}}, (200, None)),
    ),
    (
        *("post", "/free", "Let go of memory", {}),
        *({"type": "object", "properties": {"unload_models": _FLAG, "free_memory": _FLAG}}, (200, None)),
    ),
    ("get", "/history", "Ended jobs", {"max_items": _COUNT, "offset": _COUNT}, None, (200, _ANY_OBJECT)),
    ("get", "/history/{id}", "An ended job", {}, None, (200, _ANY_OBJECT)),
    ("post", "/history", "Forget ended jobs", {}, _CLEAR, (200, None)),
    (
        *("get", "/api/jobs", "A page of jobs, in the community's form"),
        *({"status": _TEXT, "sort_by": _TEXT, "sort_order": _TEXT, **_PAGE}, None, (200, _ANY_OBJECT)),
    ),
    ("get", "/api/jobs/{id}", "A job, in the community's form", {}, None, (200, _ANY_OBJECT)),
    ("get", "/object_info", "Every node type, in the community's form", {}, None, (200, _ANY_OBJECT)),
    ("get", "/object_info/{name}", "A node type, in the community's form", {}, None, (200, _ANY_OBJECT)),
    (
        *("get", "/view", "A file"),
        *(dict.fromkeys(("filename", "type", "subfolder", "preview", "channel"), _TEXT), None, (200, None)),
    ),
    ("get", "/view_metadata/{folder}", "The metadata of a model file", {"filename": _TEXT}, None, (200, _ANY_OBJECT)),
    ("get", "/userdata", "Files of the user", {"dir": _TEXT, "recurse": _TEXT, "split": _TEXT}, None, (200, {})),
    ("get", "/userdata/{file}", "A file of the user", {}, None, (200, None)),
    ("get", "/settings", "The user's settings", {}, None, (200, _ANY_OBJECT)),
    ("post", "/settings", "Change settings", {}, _ANY_OBJECT, (200, None)),
    ("get", "/models", "Kinds of model files", {}, None, (200, {"type": "array"})),
    ("get", "/models/{folder}", "Model files of a kind", {}, None, (200, {"type": "array"})),
    ("get", "/embeddings", "Textual inversions", {}, None, (200, {"type": "array"})),
    ("get", "/system_stats", "Machine, versions, devices", {}, None, (200, _ANY_OBJECT)),
    ("get", "/features", "What the server can do", {}, None, (200, _ANY_OBJECT)),
)


def document() -> dict[str, Any]:
    """The description as JSON data."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, summary, query, body, answer in _ROWS:
        paths.setdefault(path, {})[method] = _operation(path, summary, query, body, answer)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Easel",
            "version": "1",
            "description": "Queue graphs, watch them run, fetch what they made.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Job": _JOB, "Submission": _SUBMISSION, "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    path: str, summary: str, query: Mapping[str, Schema], body: Schema | None, answer: tuple[int, Schema | None]
) -> dict[str, Any]:
    status, schema = answer
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    in_query = [{"name": name, "in": "query", "schema": kind} for name, kind in query.items()]
    good: dict[str, Any] = {"description": summary}
    if schema is not None:
        good["content"] = {"application/json": {"schema": schema}}
    kind = "application/problem+json" if path.startswith("/api/v1/") else "application/json"
    bad = {"description": "The request was refused, and why", "content": {kind: {"schema": _ANY_OBJECT}}}
    operation: dict[str, Any] = {"summary": summary, "responses": {str(status): good, "4XX": bad, "503": bad}}
    if in_path or in_query:
        operation["parameters"] = [*in_path, *in_query]
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation
