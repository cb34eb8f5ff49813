"""Results on disk: a file exists, whole and under its final name, before anybody is told of it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Literal

from engine.foundation.errors import EaselError
from engine.store.confine import resolve
from engine.store.durable import sync_folder
from engine.store.journal import SaveJournal, last_number

MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".latent": "application/octet-stream",
}


class StoreError(EaselError):
    """A result that could not be written; nothing of it is left behind."""

    code: ClassVar[str] = "store_failed"


class DiskFullError(StoreError):
    """There is no room for a result."""

    code: ClassVar[str] = "disk_full"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A result: `filename` in `subfolder` of the folder `type` (`output` or `temp`), with size and digest.

    `animated`: a picture that moves.
    """

    path: Path
    filename: str
    subfolder: str
    type: Literal["output", "temp"]
    size: int
    sha256: str
    media_type: str
    animated: bool = False


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Writes results below one folder for each type; `journal` lets a repeated attempt take over what is there."""

    roots: Mapping[str, Path]
    journal: SaveJournal | None = None

    def save(
        self,
        data: bytes | memoryview,
        prefix: str,
        suffix: str,
        place: Literal["output", "temp"],
        size: tuple[int, int] = (0, 0),
    ) -> Artifact:
        """Write `data` as `prefix_00001_suffix`, with the next free number.

        `prefix` may hold folders and `%year% %month% %day% %hour% %minute% %second% %width% %height%`. Raises
        `PathError` for a prefix that leads out of the folder, `DiskFullError`, or `StoreError`.
        """
        root = self.roots[place]
        try:
            root.mkdir(parents=True, exist_ok=True)
            target = resolve(root, _filled(prefix, size))
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = sha256(data).hexdigest()
            path = self._write(target.parent, target.name, suffix, data, digest)
        except OSError as error:
            raise _failure(error, prefix) from error
        return Artifact(
            path,
            path.name,
            "" if path.parent == root.resolve() else path.parent.relative_to(root.resolve()).as_posix(),
            place,
            len(data),
            digest,
            MEDIA_TYPES.get(suffix, "application/octet-stream"),
        )

    def _write(self, folder: Path, stem: str, suffix: str, data: bytes | memoryview, digest: str) -> Path:
        if self.journal is not None:
            there = self.journal.take_over(folder, stem, suffix, len(data), digest)
            if there is not None:
                return there
            self.journal.intend(folder, stem, suffix, len(data), digest)
        return _write(folder, stem, suffix, data)


def _write(folder: Path, stem: str, suffix: str, data: bytes | memoryview) -> Path:
    """Write to a temporary name, bring it to disk, then link it to the first free number: two savers never collide."""
    handle, partial = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        number = last_number(folder, stem) + 1
        while True:
            path = folder / f"{stem}_{number:05}_{suffix}"
            try:
                _claim(Path(partial), path)
                break
            except FileExistsError:
                number += 1
        path.chmod(0o644)
    finally:
        Path(partial).unlink(missing_ok=True)
    sync_folder(folder)
    return path


def _claim(partial: Path, path: Path) -> None:
    """Give a finished file its name. Raises `FileExistsError` if somebody else has it."""
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken first, empty, then filled at one stroke
        path.touch(exist_ok=False)
        partial.replace(path)


def _filled(prefix: str, size: tuple[int, int]) -> str:
    now = datetime.now()
    values = {"year": str(now.year), "width": str(size[0]), "height": str(size[1])}
    values |= {name: f"{getattr(now, name):02}" for name in ("month", "day", "hour", "minute", "second")}
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", value)
    return prefix


def _failure(error: OSError, prefix: str) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError("the disk is full", where=prefix, hint="Free some space or choose another output folder.")
    return StoreError("the result cannot be written", where=prefix, got=error.strerror or str(error))
