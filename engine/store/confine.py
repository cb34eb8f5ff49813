"""The one resolver for names that come from outside: a file inside a root, or an error."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import ClassVar

from engine.foundation.errors import EaselError

MAX_NAME = 1024
MAX_PART = 255  # bytes of one part of a path, on every file system in use
MAX_BYTES = 2048  # systems allow 4096 with the folder
_DRIVE = re.compile(r"^[A-Za-z]:")
_ANNOTATION = re.compile(r"^(?P<name>.*?) \[(?P<place>input|output|temp)\]$", re.DOTALL)
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)


class PathError(EaselError):
    """A name that leads out of its folder, or that is no name for a file."""

    code: ClassVar[str] = "path_escape"


class LongNameError(PathError):
    """A name that no disk can hold: there is no such file, and there will be none."""


def resolve(root: Path, name: str, *, links_may_leave: bool = False) -> Path:
    """The path of `name` (with forward slashes) below `root`, symbolic links followed; it need not exist.

    Raises `LongNameError`, and `PathError` for anything that is absolute, climbs, hides in a link, or that some system
    would read otherwise.
    `links_may_leave` is for folders that only the owner of the machine writes to, who may have linked files there.
    """
    wrong = _fault(name)
    if wrong:
        raise _error(name, wrong)
    if len(name.encode()) > MAX_BYTES or any(len(part.encode()) > MAX_PART for part in name.split("/")):
        raise LongNameError("this name is too long", expected=f"parts of at most {MAX_PART} bytes", got=name[:80])
    try:
        base = root.resolve()
        if links_may_leave:
            return base / PurePosixPath(name)
        path = (base / PurePosixPath(name)).resolve()
    except (RuntimeError, OSError) as error:  # RuntimeError: links that go round in a circle
        raise _error(name, "a link on its way leads nowhere") from error
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
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "it holds half a character"  # and could not be written to a log, or looked up on a disk
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
