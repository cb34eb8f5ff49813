"""The editor's files, or a page that says how to build it."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from engine.server.errors import Handler
from engine.server.state import state_of
from engine.store.confine import resolve

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_NO_EDITOR = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Easel</title></head>
<body>
<h1>Easel is running</h1>
<p>There is no editor here yet. The API works: queue a graph with <code>POST /prompt</code>, or from a terminal with
<code>python main.py run workflows/text_to_image.json</code>.</p>
<p><a href="/api/v1/openapi.json">API description</a></p>
</body></html>
"""


async def get_index(request: web.Request) -> web.StreamResponse:
    """The editor."""
    web_root = state_of(request).config.web
    if web_root is None or not (web_root / "index.html").is_file():
        return web.Response(text=_NO_EDITOR, content_type="text/html", headers={"Content-Security-Policy": _POLICY})
    return _file(web_root / "index.html", "no-cache")


async def get_asset(request: web.Request) -> web.StreamResponse:
    """A file of the editor."""
    web_root = state_of(request).config.web
    if web_root is None:
        raise web.HTTPNotFound
    path = resolve(web_root / "assets", request.match_info["path"])
    if not path.is_file():
        raise web.HTTPNotFound
    return _file(path, "public, max-age=31536000, immutable")  # their names hold digests of what is in them


def _file(path: Path, cache: str) -> web.FileResponse:
    return web.FileResponse(path, headers={"Content-Security-Policy": _POLICY, "Cache-Control": cache})


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/", get_index),
    ("GET", "/index.html", get_index),
    ("GET", "/assets/{path:.+}", get_asset),
]
