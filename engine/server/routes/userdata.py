"""The user's own files and settings. There is one user; nothing of theirs is ever handed out as a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from engine.foundation import json
from engine.foundation.json import JsonValue
from engine.server.answers import RequestError, community_error, json_answer
from engine.server.bodies import json_object, switch
from engine.server.errors import Handler
from engine.server.routes.files import file_answer
from engine.server.state import state_of
from engine.store import userdata
from engine.store.confine import PathError
from engine.store.media import BYTES
from engine.store.userdata import FileInfo, user_folder

_Result = TypeVar("_Result")


def _escapes_are_forbidden(handler: Handler) -> Handler:
    """The contract answers 403 here for a name that leads out of the folder; elsewhere it is 400."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except PathError as error:
            return community_error(error.code, error.message, details=str(error), status=403)

    return guarded


async def list_files(request: web.Request) -> web.StreamResponse:
    """The files in the folder `dir`: names, names with their parts (`split`), or all about them (`full_info`)."""
    folder = request.query.get("dir", "")
    if not folder:
        raise RequestError("no folder is named", where="dir", hint="Use . for the folder of all.")
    infos = await _aside(request, userdata.list_files, _plain(folder), recurse=switch(request, "recurse"))
    if switch(request, "full_info"):
        return json_answer([_described(info) for info in infos])
    if switch(request, "split"):
        return json_answer([[info.path, *info.path.split("/")] for info in infos])
    return json_answer([info.path for info in infos])


async def list_entries(request: web.Request) -> web.StreamResponse:
    """The files and folders in the folder `path`, with their paths from the top."""
    infos = await _aside(request, userdata.list_entries, _plain(request.query.get("path", "")))
    return json_answer([_entry(info) for info in infos])


async def get_file(request: web.Request) -> web.StreamResponse:
    """A file, as bytes to be saved; JSON says that it is JSON."""
    path = await _aside(request, userdata.find_file, request.match_info["file"])
    return file_answer(path, "application/json" if path.suffix.lower() == ".json" else BYTES, inline=False)


async def post_file(request: web.Request) -> web.StreamResponse:
    """Write the body into a file; 409 if it exists and `overwrite` is false."""
    data, overwrite = await request.read(), switch(request, "overwrite", default=True)
    info = await _aside(request, userdata.write_file, request.match_info["file"], data, overwrite=overwrite)
    return _written(request, info)


async def move_file(request: web.Request) -> web.StreamResponse:
    """Rename a file; 409 if the new name is taken and `overwrite` is false."""
    name, to = request.match_info["file"], request.match_info["dest"]
    overwrite = switch(request, "overwrite", default=True)
    return _written(request, await _aside(request, userdata.move_file, name, to, overwrite=overwrite))


async def delete_file(request: web.Request) -> web.StreamResponse:
    """Remove a file."""
    await _aside(request, userdata.delete_file, request.match_info["file"])
    return web.Response(status=204)


async def get_settings(request: web.Request) -> web.StreamResponse:
    """All settings of the user."""
    return json_answer(await _aside(request, userdata.read_settings))


async def get_setting(request: web.Request) -> web.StreamResponse:
    """One setting, null if it was never set."""
    settings = await _aside(request, userdata.read_settings)
    return json_answer(settings.get(request.match_info["id"]))


async def post_settings(request: web.Request) -> web.StreamResponse:
    """Set several settings."""
    return await _set(request, await json_object(request))


async def post_setting(request: web.Request) -> web.StreamResponse:
    """Set one setting to the JSON value in the body."""
    value: JsonValue = json.parse(await request.read(), where="$")
    return await _set(request, {request.match_info["id"]: value})


async def get_users(request: web.Request) -> web.StreamResponse:
    """That there is one user, whose files are on the server."""
    folder = user_folder(state_of(request).settings)
    return json_answer({"storage": "server", "migrated": await asyncio.to_thread(folder.is_dir)})


async def post_users(_request: web.Request) -> web.StreamResponse:
    """Nobody can be added."""
    raise RequestError("this server has one user", hint="Leave out the user, or name it default.")


async def _set(request: web.Request, changes: dict[str, Any]) -> web.Response:
    await _aside(request, userdata.change_settings, changes)
    return web.Response()


async def _aside(request: web.Request, work: Callable[..., _Result], *arguments: Any, **more: Any) -> _Result:
    """`work` on the user's folder, in a thread."""
    root: Path = user_folder(state_of(request).settings)
    return await asyncio.to_thread(work, root, *arguments, **more)


def _plain(folder: str) -> str:
    """`.` and `./` are the folder of all, and slashes at the end of a name say nothing."""
    return "" if folder in (".", "./") else folder.rstrip("/") or folder


def _written(request: web.Request, info: FileInfo) -> web.Response:
    return json_answer(_described(info) if switch(request, "full_info") else info.path)


def _described(info: FileInfo) -> JsonValue:
    return {"path": info.path, "size": info.size, "modified": info.modified, "created": info.created}


def _entry(info: FileInfo) -> JsonValue:
    entry = {"name": info.path.rpartition("/")[2], "path": info.path, "type": info.kind}
    return {**entry, "size": info.size, "modified": info.modified} if info.kind == "file" else entry


ROUTES: list[tuple[str, str, Handler]] = [
    *(
        (method, path, _escapes_are_forbidden(handler))
        for method, path, handler in (
            ("GET", "/userdata", list_files),
            ("GET", "/v2/userdata", list_entries),
            ("GET", "/userdata/{file}", get_file),
            ("POST", "/userdata/{file}", post_file),
            ("DELETE", "/userdata/{file}", delete_file),
            ("POST", "/userdata/{file}/move/{dest}", move_file),
        )
    ),
    ("GET", "/settings", get_settings),
    ("POST", "/settings", post_settings),
    ("GET", "/settings/{id}", get_setting),
    ("POST", "/settings/{id}", post_setting),
    ("GET", "/users", get_users),
    ("POST", "/users", post_users),
]
