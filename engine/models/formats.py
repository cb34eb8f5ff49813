"""Telling the two kinds of weight files apart by their first bytes. Free of torch."""

from __future__ import annotations

from pathlib import Path

_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin"})


def is_pickle(path: Path) -> bool:
    """Whether `path` is to be read as a pickle (a torch archive or a bare one) rather than as safetensors.

    A safetensors file has the brace of its header at byte 8, whatever it is called.
    """
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":
        return False
    return start.startswith((b"PK", b"\x80")) or path.suffix.lower() in _SUFFIXES
