"""Amounts for people: bytes."""

from __future__ import annotations

import re

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """`4G`, `512M`, `1.5 GiB` or a plain number, in powers of 1,024. Raises `ValueError` for anything else."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(f"expected an amount such as 4G or 512M, got {text!r}")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def format_bytes(count: int) -> str:
    """`count` with the largest unit that leaves at least 1, such as `4.2 GiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        size = _UNITS[unit[0]]
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
