"""The border of the server: whatever a handler raises becomes an answer without places, code or secrets in it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from engine.foundation.errors import EaselError
from engine.server.answers import community_error, error_answer, problem

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger(__name__)


@web.middleware
async def errors_as_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into answers; those that nobody foresaw are logged and answered with 500."""
    try:
        return await handler(request)
    except EaselError as error:
        return error_answer(error, request.path)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _answer(request, error.status, _CODES.get(error.status, "refused"), error.reason, dict(_kept(error)))
    except ConnectionError:
        raise  # the client is gone, and nobody would read an answer
    except Exception:  # noqa: BLE001  # the border: the log has it, the answer must not
        _log.exception("%s %s failed", request.method, request.path)
        return _answer(request, 500, "internal", "Easel failed on this request; its log says more", {})


_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def _kept(error: web.HTTPException) -> list[tuple[str, str]]:
    return [(name, error.headers[name]) for name in ("Allow",) if name in error.headers]


def _answer(request: web.Request, status: int, code: str, message: str, headers: dict[str, str]) -> web.Response:
    if request.path.startswith("/api/v1/"):
        return problem(status, code, message, headers=headers)
    return community_error(code, message, status=status, headers=headers)
