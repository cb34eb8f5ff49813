"""Model files by folder kind, and lists of a front end that Easel has nothing for. No answer tells a server path."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from engine.foundation.json import JsonValue
from engine.server.answers import json_answer
from engine.server.errors import Handler
from engine.server.state import state_of
from engine.store.confine import PathError
from engine.store.folders import PLACES, FolderError, Folders

_OLD_NAMES = frozenset({"clip", "unet"})  # of text_encoders and diffusion_models: answered, but not listed again


async def list_embeddings(request: web.Request) -> web.StreamResponse:
    """Names of the embeddings, without suffix."""
    names = await asyncio.to_thread(state_of(request).folders.list, "embeddings")
    return json_answer(sorted({name.rpartition(".")[0] for name in names}))


async def list_kinds(request: web.Request) -> web.StreamResponse:
    """The kinds of model folders."""
    return json_answer(_listed(state_of(request).folders.folders))


async def list_models(request: web.Request) -> web.StreamResponse:
    """Names of the files of a kind."""
    folders = state_of(request).folders
    kind = _known(folders.folders, request.match_info["folder"])
    return json_answer(list(await asyncio.to_thread(folders.list, kind)))


async def list_kinds_with_folders(request: web.Request) -> web.StreamResponse:
    """The kinds of model folders with the folders of each, as they lie below Easel's own."""
    state = state_of(request)
    roots, base = state.folders.folders.roots, state.settings.base
    return json_answer(
        [{"name": kind, "folders": _relative(roots[kind], base)} for kind in _listed(state.folders.folders)]
    )


async def list_models_with_details(request: web.Request) -> web.StreamResponse:
    """The files of a kind in all of its folders, with size and times (seconds since 1970)."""
    folders = state_of(request).folders.folders
    kind = _known(folders, request.match_info["folder"])
    return json_answer(await asyncio.to_thread(_details, folders, kind))


async def list_folder_paths(request: web.Request) -> web.StreamResponse:
    """The folders of each kind, as they lie below Easel's own."""
    state = state_of(request)
    roots = state.folders.folders.roots
    return json_answer({kind: _relative(paths, state.settings.base) for kind, paths in sorted(roots.items())})


async def no_list(_request: web.Request) -> web.StreamResponse:
    """A list of nothing."""
    return json_answer([])


async def no_entries(_request: web.Request) -> web.StreamResponse:
    """An object without members."""
    return json_answer({})


async def no_subgraph(request: web.Request) -> web.StreamResponse:
    """There are no global subgraphs."""
    raise FolderError("there is no such subgraph", got=request.match_info["id"][:80])


def _listed(folders: Folders) -> list[str]:
    return sorted(kind for kind in folders.roots if kind not in PLACES and kind not in _OLD_NAMES and kind != "configs")


def _known(folders: Folders, kind: str) -> str:
    if kind in PLACES or kind not in folders.roots:
        raise FolderError("there is no such kind of models", got=kind[:80], hint="GET /models lists them.")
    return kind


def _relative(roots: Iterable[Path], base: Path) -> list[str]:
    """Folders below `base` as seen from it; of those elsewhere only their names."""
    return [root.relative_to(base).as_posix() if root.is_relative_to(base) else root.name for root in roots]


def _details(folders: Folders, kind: str) -> list[JsonValue]:
    found: list[JsonValue] = []
    for index, root in enumerate(folders.roots[kind]):
        alone = Folders({kind: (root,)})
        for name in alone.list(kind):
            try:
                stat = alone.find(kind, name).stat()
            except (FolderError, PathError, OSError):
                continue  # a link to nowhere, a name that could not be asked for, or gone meanwhile
            times = {"modified": stat.st_mtime, "created": stat.st_ctime}
            found.append({"name": name, "pathIndex": index, **times, "size": stat.st_size})
    return found


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/embeddings", list_embeddings),
    ("GET", "/models", list_kinds),
    ("GET", "/models/{folder}", list_models),
    ("GET", "/experiment/models", list_kinds_with_folders),
    ("GET", "/experiment/models/{folder}", list_models_with_details),
    ("GET", "/extensions", no_list),
    ("GET", "/i18n", no_entries),
    ("GET", "/global_subgraphs", no_entries),
    ("GET", "/global_subgraphs/{id}", no_subgraph),
    ("GET", "/internal/folder_paths", list_folder_paths),
]
