"""Telling the two kinds of weight files apart by their first bytes. Free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from engine.foundation.errors import EaselError

_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin"})


class MissingFileError(EaselError):
    """A weight file that is not there."""

    code: ClassVar[str] = "missing_file"


def is_pickle(path: Path) -> bool:
    """Whether `path` is to be read as a pickle (a torch archive or a bare one) rather than as safetensors.

    A safetensors file has the brace of its header at byte 8, whatever it is called; what is called one is
    held to it. Raises `MissingFileError`.
    """
    if not path.is_file():
        raise MissingFileError("there is no such file", where=path.name, hint="Check the name and the model folders.")
    if path.suffix.lower() == ".safetensors":
        return False
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":
        return False
    return start.startswith((b"PK", b"\x80")) or path.suffix.lower() in _SUFFIXES
