"""Files that are whole or not there: written aside, brought to disk, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path` at one stroke; after a crash there is the old file or the new one, never a part."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to disk."""
    if os.name == "posix":  # elsewhere folders cannot be opened, and renames are durable on their own
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def empty_folder(folder: Path) -> None:
    """Remove what is in `folder`; links are removed, not followed."""
    for item in folder.iterdir() if folder.is_dir() else ():
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)
