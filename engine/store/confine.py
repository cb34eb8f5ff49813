"""The one resolver for names that come from outside: a file inside a root, or an error."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import ClassVar

from engine.foundation.errors import EaselError

MAX_NAME = 1024
_DRIVE = re.compile(r"^[A-Za-z]:")
_ANNOTATION = re.compile(r"^(?P<name>.*?) \[(?P<place>input|output|temp)\]$", re.DOTALL)
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)


class PathError(EaselError):
    """A name that leads out of its folder, or that is no name for a file."""

    code: ClassVar[str] = "path_escape"


def resolve(root: Path, name: str, *, links_may_leave: bool = False) -> Path:
    """The path of `name` (with forward slashes) below `root`, symbolic links followed; it need not exist.

    Raises `PathError` for anything that is absolute, climbs, hides in a link, or that some system would read otherwise.
    `links_may_leave` is for folders that only the owner of the machine writes to, who may have linked files there.
    """
    wrong = _fault(name)
    if wrong:
        raise _error(name, wrong)
    base = root.resolve()
    if links_may_leave:
        return base / PurePosixPath(name)
    path = (base / PurePosixPath(name)).resolve()
    if not path.is_relative_to(base) or path == base:
        raise _error(name, "it leads out of its folder")
    return path


def annotation(name: str) -> tuple[str, str | None]:
    """`picture.png [output]` as `("picture.png", "output")`; no annotation gives None."""
    found = _ANNOTATION.match(name)
    return (found["name"], found["place"]) if found else (name, None)


def _fault(name: str) -> str:
    if not name or len(name) > MAX_NAME:
        return "it is empty" if not name else "it is too long"
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        return "it holds control characters"
    if "\\" in name or name.startswith(("/", "~")) or _DRIVE.match(name):
        return "it is no relative path with forward slashes"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it climbs out of its folder"
    if any(_RESERVED.match(part) or part.endswith((" ", ".")) or ":" in part for part in parts):
        return "some systems read it as something else"
    return ""


def _error(name: str, reason: str) -> PathError:
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    return PathError("this name is not allowed", got=f"{shown!r}: {reason}", hint="Name a file inside the folder.")
