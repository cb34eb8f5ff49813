"""The specs of every node type as plain data on disk, so that validating a graph imports neither torch nor any pack.

The file is kept under a digest of the sources that specs are made from; any change makes it stale.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from engine.graph.spec import NodeSpec, from_json, to_json

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Specs by node type, and one line for each pack that failed to load."""

    specs: Mapping[str, NodeSpec]
    failures: tuple[str, ...]


def load_catalogue(folder: Path, sources: Iterable[Path], load: Callable[[], Catalogue]) -> Catalogue:
    """The catalogue from `folder` if it was made from `sources` as they are now, else the one that `load` makes.

    A damaged file is made again; a folder that cannot be written only costs time.
    """
    path = _path(folder, sources)
    known = _read(path)
    if known is not None:
        return known
    catalogue = load()
    _write(path, catalogue)
    return catalogue


def known_catalogue(folder: Path, sources: Iterable[Path]) -> Catalogue | None:
    """The catalogue from `folder`, None if it is absent, damaged, or was made from other sources."""
    return _read(_path(folder, sources))


def sources_of(folders: Iterable[Path]) -> list[Path]:
    """The Python files under `folders`, in order."""
    return sorted(path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*.py")))


def _path(folder: Path, sources: Iterable[Path]) -> Path:
    return folder / f"catalogue-{_digest(sources)}.json"


def _read(path: Path) -> Catalogue | None:
    try:
        content = json.loads(path.read_text("utf-8"))
        specs = [from_json(entry) for entry in content["specs"]]
        return Catalogue({spec.id: spec for spec in specs}, tuple(content["failures"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(sources: Iterable[Path]) -> str:
    digest = sha256(str(FORMAT).encode())
    for path in sources:
        digest.update(f"{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _write(path: Path, catalogue: Catalogue) -> None:
    content = {
        "specs": [to_json(spec) for spec in catalogue.specs.values()],
        "failures": list(catalogue.failures),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob("catalogue-*.json"):
            stale.unlink(missing_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
        Path(partial).replace(path)
    except OSError:
        pass  # a read-only place: the catalogue is made anew next time
