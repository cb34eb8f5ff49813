"""Pictures and other files: `/view`, uploads, what a model file says of itself, what a folder holds."""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from engine.foundation import json
from engine.foundation.settings import Settings
from engine.server.answers import RequestError, community_error, json_answer
from engine.server.errors import Handler
from engine.server.limits import FRAMING, too_large
from engine.server.state import state_of
from engine.store import media, uploads, views
from engine.store.confine import LongNameError, PathError, annotation, resolve
from engine.store.folders import PLACES, FolderError, Folders
from engine.store.safetensors_header import FileFormatError, read_header

MAX_PARTS = 16
MAX_FIELD_BYTES = 64 * 1024
_CHUNK = 2**20
_FIELDS = frozenset({"type", "subfolder", "overwrite", "original_ref"})
_ABSOLUTE = re.compile(r'filename\s*=\s*"\s*[/\\]', re.IGNORECASE)
_SAFETY: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


@dataclass(slots=True)
class _Form:
    """What an upload brought: `file` holds the bytes of the part `image`, `filename` is its name."""

    file: IO[bytes]
    filename: str | None = None
    fields: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return self.fields.get(name, "")


class _PlainFile(web.FileResponse):
    """A file as it is; aiohttp's own would send `x.png.gz` for `x.png` if somebody put it there."""

    def _make_response(self, request: web.BaseRequest, accept_encoding: str) -> Any:  # noqa: ARG002
        return super()._make_response(request, "")


def file_answer(path: Path, media_type: str, *, inline: bool) -> web.StreamResponse:
    """The file at `path`; what is not `inline` a browser saves, and does not look at."""
    return _PlainFile(path, headers=content_headers(path.name, media_type, inline=inline))


def content_headers(name: str, media_type: str, *, inline: bool) -> dict[str, str]:
    """Headers under which content from outside is never active."""
    return {**_SAFETY, "Content-Type": media_type, "Content-Disposition": media.disposition(name, inline=inline)}


async def view(request: web.Request) -> web.StreamResponse:
    """A file of the folders input, output or temp; a picture re-encoded if `preview` or `channel` ask for it."""
    query = request.query
    if "filename" not in query:
        return community_error("missing_file", "no file is named", details="filename", status=404)
    filename, place = annotation(query["filename"])
    root = _root(state_of(request).settings, place or query.get("type") or "output")
    try:
        folder = await asyncio.to_thread(_subfolder, root, query.get("subfolder", ""))
    except PathError as error:
        return community_error(error.code, error.message, details=str(error), status=403)
    wanted = views.requested_view(query.get("preview"), query.get("channel"))
    path, pixels = await asyncio.to_thread(_look, folder, filename, checked=wanted is not None)
    if wanted is None:
        shown = media.inline_type(path.name)
        return file_answer(path, shown or media.BYTES, inline=shown is not None)
    async with _decoding(request, pixels):
        rendering = await asyncio.to_thread(views.render, path, wanted)
    headers = content_headers(path.name, rendering.media_type, inline=True)
    return web.Response(body=rendering.data, headers=headers)


async def upload_image(request: web.Request) -> web.StreamResponse:
    """Store the part `image` in `subfolder` of the folder `type`, under its name or the next free one."""
    async with _form(request) as form:
        return await asyncio.to_thread(_store, state_of(request).settings, form, form.file, _filename(form))


async def upload_mask(request: web.Request) -> web.StreamResponse:
    """Store the picture `original_ref` with the alpha channel of the part `image`."""
    async with _form(request) as form, state_of(request).decoding:
        return await asyncio.to_thread(_store_masked, state_of(request).settings, form, _filename(form))


async def view_metadata(request: web.Request) -> web.StreamResponse:
    """The `__metadata__` of a safetensors file."""
    kind, name = request.match_info["folder"], request.query.get("filename", "")
    metadata = await asyncio.to_thread(_metadata, state_of(request).folders.folders, kind, name)
    return json_answer(metadata)


async def list_folder(request: web.Request) -> web.StreamResponse:
    """Names of the files in the folder input, output or temp, the newest first."""
    root = _root(state_of(request).settings, request.match_info["directory"])
    return json_answer(await asyncio.to_thread(_newest_first, root))


def _root(settings: Settings, place: str) -> Path:
    roots = {"input": settings.input, "output": settings.output, "temp": settings.temp}
    if place not in roots:
        raise RequestError("there is no such folder", where="type", expected=", ".join(roots), got=place[:40])
    return roots[place]


def _subfolder(root: Path, name: str) -> Path:
    return resolve(root, name.rstrip("/") or "/") if name else root


def _decoding(request: web.Request, pixels: int) -> AbstractAsyncContextManager[None]:
    """Large pictures are decoded a few at a time; others go past them."""
    return state_of(request).decoding if pixels > views.LARGE_PIXELS else nullcontext()


def _look(folder: Path, name: str, *, checked: bool) -> tuple[Path, int]:
    """The file, and how many pixels it has if it is a picture. Raises `EaselError`, also for too many pixels.

    They are counted if the file is to be decoded (`checked`) or if a browser would do that.
    """
    try:
        path = resolve(folder, name)
    except LongNameError:
        raise _missing(name) from None
    except PathError:
        resolve(folder, name, links_may_leave=True)  # raises again for a bad name; else a link leads out, which is
        raise _missing(name) from None  # no file of ours, and what it leads to is not to be told
    if not path.is_file():
        raise _missing(name)
    return path, views.pixels(path) if checked or media.is_shown_picture(path.name) else 0


def _missing(name: str) -> FolderError:
    return FolderError("there is no such file", got=name[:80])


def _filename(form: _Form) -> str:
    if not form.filename:
        raise RequestError("there is no file", where="image", expected="a multipart part with a file name")
    return form.filename


def _store(settings: Settings, form: _Form, source: Any, name: str) -> web.Response:
    place = form.text("type") or "input"
    overwrite = form.text("overwrite").lower() in ("true", "1")
    root = _root(settings, place)
    stored = uploads.store_upload(source, root, form.text("subfolder"), name, overwrite=overwrite)
    return json_answer({"name": stored.name, "subfolder": stored.subfolder, "type": place})


def _store_masked(settings: Settings, form: _Form, name: str) -> web.Response:
    original = _original(settings, form.text("original_ref"))
    form.file.flush()
    picture = io.BytesIO(uploads.masked(Path(form.file.name), original))
    is_png = name.lower().endswith(".png")
    return _store(settings, form, picture, name if is_png else f"{name}.png")


def _original(settings: Settings, reference: str) -> Path:
    value = json.parse(reference, where="original_ref")
    fields = value if isinstance(value, dict) else {}
    filename, subfolder, kind = (fields.get(key) or "" for key in ("filename", "subfolder", "type"))
    if not filename or not all(isinstance(part, str) for part in (filename, subfolder, kind)):
        expected = "an object of the texts filename, subfolder, type"
        raise RequestError("this refers to no picture", where="original_ref", expected=expected)
    name, place = annotation(filename)
    return _look(_subfolder(_root(settings, place or kind or "output"), subfolder), name, checked=True)[0]


def _metadata(folders: Folders, kind: str, name: str) -> Mapping[str, str]:
    if kind in PLACES or not name.endswith((".safetensors", ".sft")):
        raise _missing(name)
    try:
        metadata = read_header(folders.find(kind, name)).metadata
    except (FileFormatError, OSError) as error:
        raise _missing(name) from error
    if not metadata:
        raise FolderError("this file says nothing of itself", got=name[:80])
    return metadata


def _newest_first(root: Path) -> list[str]:
    times: dict[str, int] = {}
    for item in root.iterdir() if root.is_dir() else ():
        try:
            path = resolve(root, item.name)  # what cannot be viewed by its name is not listed either
            if path.is_file() and not item.name.startswith("."):
                times[item.name] = path.stat().st_mtime_ns
        except (PathError, OSError):
            continue
    return sorted(times, key=lambda name: (-times[name], name))


@asynccontextmanager
async def _form(request: web.Request) -> AsyncIterator[_Form]:
    """The multipart body, its file on disk until the end. Raises `RequestError` or answers 413."""
    limit = state_of(request).config.max_upload_bytes
    if not request.content_type.startswith("multipart/"):
        raise RequestError("the body is no form", where="Content-Type", expected="multipart/form-data")
    if (request.content_length or 0) > limit + FRAMING:
        raise too_large(limit)
    file = await asyncio.to_thread(_spool, state_of(request).settings.temp)
    try:
        form = _Form(file)
        try:
            await _read_parts(await request.multipart(), form, limit)
        except (ValueError, LookupError, RuntimeError, HttpProcessingError, web.RequestPayloadError) as error:
            raise RequestError("the multipart body is broken", where="$", got=type(error).__name__) from error
        yield form
    finally:
        await asyncio.to_thread(file.close)


def _spool(folder: Path) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part")


async def _read_parts(reader: MultipartReader, form: _Form, limit: int) -> None:
    parts = taken = 0
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > MAX_PARTS or not isinstance(part, BodyPartReader):
            raise RequestError("the form is not a plain one", expected=f"at most {MAX_PARTS} parts, none nested")
        if "Content-Encoding" in part.headers:  # forms know no such thing, and it may unpack to gigabytes
            raise RequestError("a part of the form is compressed", where=str(part.name)[:80])
        if part.name in _FIELDS:
            form.fields.setdefault(part.name, await _text(part))
            continue
        is_file = part.name == "image" and form.filename is None
        if is_file:
            form.filename = _named(part)
        async for chunk in _chunks(part):
            taken += len(chunk)
            if taken > limit:
                raise too_large(limit)
            if is_file:
                await asyncio.to_thread(form.file.write, chunk)


def _named(part: BodyPartReader) -> str:
    if _ABSOLUTE.search(part.headers.get("Content-Disposition", "")):  # aiohttp takes the slashes away unasked
        raise RequestError("the file name is absolute", where="image", expected="a name inside the folder")
    return part.filename or ""


async def _text(part: BodyPartReader) -> str:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > MAX_FIELD_BYTES:
            raise RequestError("a field is too long", where=str(part.name), expected=f"at most {MAX_FIELD_BYTES} bytes")
    return part.decode(bytes(data)).decode()


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    """The bytes of a part in pieces worth a thread each; a connection brings far smaller ones."""
    waiting = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        waiting += part.decode(chunk)
        if len(waiting) >= _CHUNK:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/view", view),
    ("POST", "/upload/image", upload_image),
    ("POST", "/upload/mask", upload_mask),
    ("GET", "/view_metadata/{folder}", view_metadata),
    ("GET", "/internal/files/{directory}", list_folder),
]
