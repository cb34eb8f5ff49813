"""The journal of a job's files: what its attempts set out to write, so that no attempt writes the same file again.

A line is on disk before the file gets its name. When a worker dies between a file and the end of its job, the next
attempt finds the line and the file, and takes the file over.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from engine.store.durable import sync_folder


@dataclass(frozen=True, slots=True)
class _Intent:
    """A file of `size` bytes with this digest, to be called `stem_NUMBER_suffix` with a number above `after`."""

    folder: str
    stem: str
    suffix: str
    size: int
    sha256: str
    after: int


class SaveJournal:
    """The journal at `path`, which need not exist yet. For one attempt, used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = _read(path)
        self._taken: set[Path] = set()

    def take_over(self, folder: Path, stem: str, suffix: str, size: int, digest: str) -> Path | None:
        """The file that an earlier attempt wrote with this content under such a name, each only once."""
        for intent in self._left:
            if (intent.folder, intent.stem, intent.suffix, intent.size, intent.sha256) == (
                str(folder), stem, suffix, size, digest,
            ):  # fmt: skip
                self._left.remove(intent)
                found = self._find(folder, intent)
                if found is not None:
                    self._taken.add(found)
                    return found
        return None

    def intend(self, folder: Path, stem: str, suffix: str, size: int, digest: str) -> None:
        """Note that a file is about to be written."""
        intent = _Intent(str(folder), stem, suffix, size, digest, last_number(folder, stem))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = not self._path.exists()
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(asdict(intent)))  # a line that a crash has cut ends here, not with this one
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self._path.parent)

    def _find(self, folder: Path, intent: _Intent) -> Path | None:
        for path in sorted(folder.glob(f"*{intent.suffix}")):
            number = _number(path.name, intent.stem)
            if number is None or number <= intent.after or path in self._taken or path.stat().st_size != intent.size:
                continue
            if sha256(path.read_bytes()).hexdigest() == intent.sha256:
                return path
        return None


def journal_path(user: Path, job_id: str) -> Path:
    """The journal of a job; its id may hold anything, so the name is a digest."""
    return user / "journals" / f"{sha256(job_id.encode()).hexdigest()[:32]}.jsonl"


def remove_journal(user: Path, job_id: str) -> None:
    """A job has ended: nobody will take over its files."""
    journal_path(user, job_id).unlink(missing_ok=True)


def remove_stale_journals(user: Path, kept: Collection[str]) -> None:
    """Remove all journals but those of the jobs `kept`."""
    names = {journal_path(user, job_id).name for job_id in kept}
    for path in (user / "journals").glob("*.jsonl"):
        if path.name not in names:
            path.unlink(missing_ok=True)


def last_number(folder: Path, stem: str) -> int:
    """The highest number of the files called `stem_NUMBER_...` in `folder`, 0 if there is none."""
    with os.scandir(folder) as items:  # many times as fast as paths, and there may be tens of thousands
        return max((_number(item.name, stem) or 0 for item in items), default=0)


def _number(name: str, stem: str) -> int | None:
    if not name.startswith(f"{stem}_"):
        return None
    found = re.match(r"(\d+)_", name[len(stem) + 1 :])
    return int(found[1]) if found else None


def _read(path: Path) -> list[_Intent]:
    """The lines that are whole; a crash may have cut any of them."""
    intents: list[_Intent] = []
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except OSError:
        return intents
    for line in lines:
        with suppress(ValueError, TypeError):
            intents.append(_Intent(**json.loads(line)))
    return intents
