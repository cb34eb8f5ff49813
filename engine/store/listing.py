"""Listings of folders that are kept until a folder changes: looking costs one `stat` a folder instead of a walk."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from engine.store.folders import PLACES, Folders, walk

_SETTLED_NANOSECONDS = 50_000_000  # a folder that changed so lately may change again within the clock's tick


@dataclass(frozen=True, slots=True)
class _Seen:
    names: tuple[str, ...]
    marks: tuple[tuple[str, int], ...]
    settled: bool


@dataclass(slots=True)
class Listing:
    """`folders` with a memory. May be used from several threads."""

    folders: Folders
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def list(self, kind: str) -> Sequence[str]:
        """As `Folders.list`."""
        return self._look(kind).names

    def version(self, kinds: Iterable[str]) -> tuple[object, ...]:
        """A token that changes when a listing of `kinds` does."""
        return tuple(self._look(kind).names for kind in kinds)

    def _look(self, kind: str) -> _Seen:
        with self._lock:
            seen = self._seen.get(kind)
            if seen is None or not seen.settled or any(_mark(Path(path)) != mark for path, mark in seen.marks):
                seen = self._seen[kind] = self._walk(kind)
            return seen

    def _walk(self, kind: str) -> _Seen:
        roots = self.folders.roots.get(kind, ())
        inner = () if kind in PLACES else [folder for root in roots for folder, _ in walk(root)]
        marks = tuple((path, _mark(Path(path))) for path in dict.fromkeys([*map(str, roots), *inner]))
        newest = max((mark for _, mark in marks), default=0)
        settled = time.time_ns() - newest > _SETTLED_NANOSECONDS
        return _Seen(self.folders.list(kind), marks, settled)


def _mark(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
