"""Node descriptions: `/object_info`."""

from __future__ import annotations

from aiohttp import web

from engine.server.answers import text_answer
from engine.server.errors import Handler
from engine.server.state import state_of


async def get_all(request: web.Request) -> web.StreamResponse:
    """Every node type; on the very first start this waits until the packs are loaded."""
    return text_answer(await state_of(request).nodes.describe_all())


async def get_one(request: web.Request) -> web.StreamResponse:
    """One node type; an empty object for one that does not exist."""
    return text_answer(await state_of(request).nodes.describe_one(request.match_info["name"]))


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/object_info", get_all),
    ("GET", "/object_info/{name}", get_one),
]
