"""Example workflows: `/workflow_templates` lists them by pack, as the community's front ends know it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from engine.server.answers import json_answer
from engine.server.errors import Handler
from engine.server.routes.files import file_answer
from engine.server.state import state_of
from engine.store.confine import resolve

PACK = "easel"
_TYPES = {".json": "application/json", ".png": "image/png"}


async def list_templates(request: web.Request) -> web.StreamResponse:
    """The names of the examples by pack, without their suffix."""
    folder = state_of(request).config.templates
    names = [] if folder is None else await asyncio.to_thread(_names, folder)
    return json_answer({PACK: names} if names else {})


async def get_template(request: web.Request) -> web.StreamResponse:
    """An example's workflow, or its picture."""
    folder = state_of(request).config.templates
    if folder is None or request.match_info["pack"] != PACK:
        raise web.HTTPNotFound
    path = resolve(folder, request.match_info["file"])
    if path.suffix not in _TYPES or not await asyncio.to_thread(path.is_file):
        raise web.HTTPNotFound
    return file_answer(path, _TYPES[path.suffix], inline=path.suffix == ".png")


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/workflow_templates", list_templates),
    ("GET", "/workflow_templates/{pack}/{file}", get_template),
]
