"""What requests carry: JSON bodies and query parameters, read strictly."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from engine.foundation import json
from engine.server.answers import RequestError
from engine.server.limits import MAX_VALUES, TooLargeError

_PARSED_ASIDE = 256 * 1024  # larger bodies are parsed in a thread, so that other requests go on


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object; no body at all is an empty one. Raises `JsonError` or `RequestError`."""
    body = await request.read()
    if not body.strip():
        return {}
    if body.count(b",") > MAX_VALUES:
        raise TooLargeError("the body has too many values", where="$", expected=f"at most {MAX_VALUES}")
    value = await asyncio.to_thread(json.parse, body) if len(body) > _PARSED_ASIDE else json.parse(body)
    if not isinstance(value, dict):
        raise RequestError("the body is no JSON object", where="$", got=type(value).__name__, expected="an object")
    return value


def member(body: dict[str, Any], name: str, kind: type | tuple[type, ...], expected: str, default: Any = None) -> Any:
    """The member `name` of a body, if it is there and not null. Raises `RequestError` if it is of another kind."""
    value = body.get(name)
    if value is None:
        return default
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):  # True is a number in Python
        raise RequestError("a member is of the wrong kind", where=f"$.{name}", expected=expected, got=_kind(value))
    return value


def texts(body: dict[str, Any], name: str) -> list[str] | None:
    """A member that is a list of texts, None if it is not there."""
    value = member(body, name, list, "a list of texts")
    if value is not None and not all(isinstance(item, str) for item in value):
        raise RequestError("a member is of the wrong kind", where=f"$.{name}", expected="a list of texts")
    return value  # type: ignore[no-any-return]  # just checked


def whole_number(request: web.Request, name: str, *, least: int = 0, default: int | None = None) -> int | None:
    """The query parameter `name` as a whole number of at least `least`. Raises `RequestError`."""
    text = request.query.get(name)
    if text is None or text == "":
        return default
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or not least <= number < 2**53:
        raise RequestError("a parameter is no such number", where=name, expected=f"at least {least}", got=text[:40])
    return number


def switch(request: web.Request, name: str, *, default: bool = False) -> bool:
    """The query parameter `name` as yes or no."""
    text = request.query.get(name)
    return default if text is None else text.lower() in ("1", "true", "yes")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")
