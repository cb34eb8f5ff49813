"""Files that come from outside: put below a folder, whole, under a name that nobody else has.

A file is written aside and then linked to its name, which fails if the name is taken: two uploads at once never clobber
one another, and after a crash there is a whole file or none.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import BinaryIO, ClassVar

import numpy as np

from engine.foundation.errors import EaselError
from engine.store.artifacts import DiskFullError, StoreError
from engine.store.confine import PathError, resolve
from engine.store.durable import sync_folder
from engine.store.pictures import encode_png, open_picture
from engine.store.png_metadata import SIGNATURE, PictureError, read_text_chunks
from engine.store.views import eight_bit

_CHUNK = 2**20


class NameTakenError(EaselError):
    """There is a file of this name, and it is not to be overwritten."""

    code: ClassVar[str] = "name_taken"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an upload is: `name` in `subfolder` (forward slashes, empty for none) of its folder."""

    name: str
    subfolder: str


def store_upload(source: BinaryIO, root: Path, subfolder: str, name: str, *, overwrite: bool = False) -> Stored:
    """Put what `source` holds below `root` as `subfolder/name`.

    The same bytes under the same name are not stored twice; other bytes get `name (1).png` and so on, unless
    `overwrite`. Raises `PathError` for a name that leads out of `root`, `NameTakenError` if a folder is in the way,
    `DiskFullError`, or `StoreError`.
    """
    given = _joined(subfolder, name)
    target, wanted = resolve(root, given), PurePosixPath(given)
    subfolder = "" if wanted.parent == PurePosixPath() else str(wanted.parent)
    folder = resolve(root, subfolder) if subfolder else root.resolve()
    with storing(wanted.name), _aside(folder, source) as partial:
        if overwrite:
            partial.replace(target)
            chosen = wanted.name
        else:
            chosen = _claim_free(partial, folder, wanted.name)
        sync_folder(folder)
    return Stored(chosen, subfolder)


def masked(upload: Path, original: Path) -> bytes:
    """A PNG of the picture `original` with the alpha channel of the picture `upload`, and the original's texts.

    Raises `PictureError` if one of them cannot be read, is too large, or if their sizes differ.
    """
    picture, mask = eight_bit(open_picture(original)).convert("RGB"), eight_bit(open_picture(upload)).convert("RGBA")
    if picture.size != mask.size:
        expected, got = (f"{width} x {height}" for width, height in (picture.size, mask.size))
        raise PictureError("the mask is not as large as its picture", where=original.name, expected=expected, got=got)
    pixels = np.dstack([np.asarray(picture), np.asarray(mask.getchannel("A"))])
    return encode_png(pixels, _texts(original))


def claim(partial: Path, path: Path) -> None:
    """Give a finished file its name. Raises `FileExistsError` if there is one of that name."""
    try:
        path.hardlink_to(partial)
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        raise
    except OSError:  # a file system without hard links: the name is taken first, empty, then filled at one stroke
        path.touch(exist_ok=False)
        partial.replace(path)


@contextmanager
def storing(name: str) -> Iterator[None]:
    """Turn the system's errors on the way to the disk into ours; `name` is what the user called the file."""
    try:
        yield
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise NameTakenError("a file or a folder is in the way", where=name, hint="Choose another name.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError("the disk is full", where=name, hint="Free some space.") from error
        if error.errno == errno.ENAMETOOLONG:
            raise PathError("this name is too long", got=name[:80]) from error
        raise StoreError("the file cannot be written", where=name, got=error.strerror or "an error") from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, and bring their names to disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


@contextmanager
def _aside(folder: Path, source: BinaryIO) -> Iterator[Path]:
    """The content of `source` on disk under a hidden name in `folder`, gone at the end if it was not renamed."""
    make_folder(folder)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            source.seek(0)
            shutil.copyfileobj(source, file, _CHUNK)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _claim_free(partial: Path, folder: Path, name: str) -> str:
    """The first of `name`, `name (1)`, ... that is free, or that holds these very bytes already."""
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    for number in count():
        chosen = name if number == 0 else f"{stem} ({number}){suffix}"
        path = resolve(folder, chosen)  # each of them: a link of that name may lead elsewhere
        try:
            claim(partial, path)
            return chosen
        except FileExistsError:
            if _same_bytes(partial, path):
                return chosen
    raise AssertionError("there is no last number")  # pragma: no cover


def _same_bytes(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(_CHUNK):
            if chunk != right.read(_CHUNK):
                return False
    return True


def _joined(subfolder: str, name: str) -> str:
    return f"{subfolder.rstrip('/') or '/'}/{name}" if subfolder else name


def _texts(picture: Path) -> dict[str, str]:
    with picture.open("rb") as file:
        is_png = file.read(len(SIGNATURE)) == SIGNATURE
    return read_text_chunks(picture) if is_png else {}
