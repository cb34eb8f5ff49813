"""The user's own files (workflows, settings, notes), all below one folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Literal

from engine.foundation import json
from engine.foundation.errors import EaselError
from engine.foundation.json import JsonError
from engine.foundation.settings import Settings
from engine.store.confine import PathError, resolve
from engine.store.durable import sync_folder, write_durably
from engine.store.uploads import claim, make_folder, storing

SETTINGS_FILE = "comfy.settings.json"
_settings_lock = Lock()  # holds nothing itself: the state is the file, and every writer of this process is to wait


class MissingFileError(EaselError):
    """A file or a folder of the user that does not exist."""

    code: ClassVar[str] = "missing_file"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file or folder: its path with forward slashes, bytes, and times in milliseconds since 1970."""

    path: str
    kind: Literal["file", "directory"]
    size: int
    modified: int
    created: int


def user_folder(settings: Settings) -> Path:
    """The folder of the only user there is."""
    return settings.user / "default"


def list_files(root: Path, folder: str, *, recurse: bool = False) -> list[FileInfo]:
    """The files in `folder` (empty for `root`), by name, with paths relative to it; hidden ones are left out.

    Raises `PathError` for a folder outside, `MissingFileError` for one that does not exist.
    """
    start = _folder(root, folder)
    found = _infos(start, _walk(start) if recurse else _children(start))
    return sorted((info for info in found if info.kind == "file"), key=lambda info: info.path)


def list_entries(root: Path, folder: str) -> list[FileInfo]:
    """The files and folders in `folder`, folders first, with paths relative to `root`. Raises as `list_files`."""
    entries = _infos(root.resolve(), _children(_folder(root, folder)))
    return sorted(entries, key=lambda info: (info.kind, info.path))


def find_file(root: Path, name: str) -> Path:
    """The file called `name`. Raises `PathError` or `MissingFileError`."""
    path = resolve(root, name)
    if not path.is_file():
        raise _missing("file", name)
    return path


def write_file(root: Path, name: str, data: bytes, *, overwrite: bool = True) -> FileInfo:
    """Put `data` into the file called `name`, at one stroke; folders above it are made.

    Raises `PathError`, `NameTakenError` if there is such a file and `overwrite` is off, `DiskFullError`, `StoreError`.
    """
    path = resolve(root, name)
    with storing(name):
        make_folder(path.parent)
        if overwrite:
            write_durably(path, data)
        else:
            _write_new(path, data)
        return _info_of(root, path, name)


def move_file(root: Path, name: str, to: str, *, overwrite: bool = True) -> FileInfo:
    """Give the file called `name` the name `to`. Raises as `find_file` and `write_file`."""
    source, target = find_file(root, name), resolve(root, to)
    with storing(to):
        make_folder(target.parent)
        try:
            _rename(source, target, overwrite=overwrite)
        except FileNotFoundError as error:
            raise _missing("file", name) from error
        return _info_of(root, target, to)


def delete_file(root: Path, name: str) -> None:
    """Remove the file called `name`. Raises `PathError` or `MissingFileError`."""
    path = find_file(root, name)
    with storing(name):
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def read_settings(root: Path) -> dict[str, Any]:
    """The user's settings; none if there is no file of them, or one that is damaged."""
    try:
        value = json.parse((root / SETTINGS_FILE).read_bytes(), where=SETTINGS_FILE)
    except (OSError, JsonError):
        return {}
    return value if isinstance(value, dict) else {}


def change_settings(root: Path, changes: Mapping[str, Any]) -> None:
    """Set some of the settings; two writers at once lose nothing.

    Raises `DiskFullError`, `StoreError`, or `JsonError` for what nests too deep to be read again.
    """
    with _settings_lock, storing(SETTINGS_FILE):
        make_folder(root)
        settings = read_settings(root)
        path = root / SETTINGS_FILE
        if not settings and path.is_file() and path.stat().st_size > len("{}\n"):
            path.replace(path.with_suffix(".damaged"))  # kept for the user to look at, not written over
        text = json.dumps({**settings, **changes}, indent=4)
        json.parse(text, where=SETTINGS_FILE)  # what nests one level too deep now could never be read again
        write_durably(path, text.encode())


def _folder(root: Path, name: str) -> Path:
    folder = resolve(root, name) if name else root.resolve()
    if name and not folder.is_dir():
        raise _missing("folder", name)
    return folder


def _missing(kind: str, name: str) -> MissingFileError:
    return MissingFileError(f"there is no such {kind}", got=name[:80])


def _children(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() else ()  # a new user has no folder yet


def _walk(start: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(start):  # links to folders are not followed: they may lead anywhere
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield from (Path(folder) / name for name in names)


def _infos(start: Path, paths: Iterable[Path]) -> Iterator[FileInfo]:
    """What can be asked for by its name: nothing hidden, no links that lead out, no names that are no text."""
    for path in paths:
        try:
            if not path.name.startswith(".") and resolve(start, path.relative_to(start).as_posix()):
                yield _info(start, path)
        except (PathError, OSError):
            continue  # or it is gone meanwhile


def _info_of(root: Path, path: Path, name: str) -> FileInfo:
    """Of a file that was written just now, which somebody else may have removed since."""
    try:
        return _info(root.resolve(), path)
    except FileNotFoundError as error:
        raise _missing("file", name) from error


def _info(start: Path, path: Path) -> FileInfo:
    stat = path.stat()
    return FileInfo(
        path.relative_to(start).as_posix(),
        "directory" if path.is_dir() else "file",
        stat.st_size,
        stat.st_mtime_ns // 1_000_000,
        stat.st_ctime_ns // 1_000_000,
    )


def _rename(source: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        source.replace(target)
    else:
        claim(source, target)  # the name first, then the old one goes: a third file of that name is never lost
        source.unlink(missing_ok=True)
    for folder in {source.parent, target.parent}:
        sync_folder(folder)


def _write_new(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        write_durably(partial, data)
        claim(partial, path)
    finally:
        partial.unlink(missing_ok=True)
