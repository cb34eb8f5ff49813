"""Answers: JSON, and errors in the two forms that clients know (the community's, and RFC 9457 for `/api/v1`)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from engine.foundation import json
from engine.foundation.errors import EaselError

RETRY_AFTER_SECONDS = "5"

_STATUS: Mapping[str, int] = {
    "queue_full": 429,
    "shutting_down": 503,
    "store_unavailable": 503,
    "disk_full": 507,
    "job_id_in_use": 409,
    "job_state": 409,
    "missing_job": 404,
    "missing_file": 404,
    "path_escape": 400,
    "picture_too_large": 413,
    "too_large": 413,
    "encoded_body": 415,
    "name_taken": 409,
    "store_failed": 500,
    "refused": 403,
    "unauthorised": 401,
}


class RequestError(EaselError):
    """A request that makes no sense; `where` is the JSON path or the parameter."""

    code = "bad_request"


def json_answer(value: json.JsonValue, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` as strict JSON."""
    return text_answer(json.dumps(value), status, headers)


def text_answer(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON text that is ready."""
    return web.Response(text=text, status=status, headers=headers, content_type="application/json", charset="utf-8")


def empty() -> web.Response:
    """200 without a body, which is what most of the community's POST routes answer."""
    return web.Response()


def error_answer(error: EaselError, path: str) -> web.Response:
    """An error in the form that the clients of `path` expect."""
    status = _STATUS.get(error.code, 400)
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status in (429, 503) else {}
    if path.startswith("/api/v1/"):
        return problem(status, error.code, str(error), {"where": error.where} if error.where else {}, headers)
    extra = {"hint": error.hint} if error.hint else {}
    return community_error(error.code, error.message, details=str(error), status=status, extra=extra, headers=headers)


def problem(
    status: int,
    code: str,
    detail: str,
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An RFC 9457 problem; `code` is stable, `detail` is for people."""
    data = {"type": f"urn:easel:{code}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    text = json.dumps({**data, "code": code, **(more or {})})
    return web.Response(text=text, status=status, headers=headers, content_type="application/problem+json")


def community_error(
    code: str,
    message: str,
    *,
    details: str = "",
    status: int = 400,
    extra: Mapping[str, Any] | None = None,
    node_errors: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error in the community's form."""
    error = {"type": code, "message": message, "details": details, "extra_info": dict(extra or {})}
    return json_answer({"error": error, "node_errors": dict(node_errors or {})}, status, headers)
