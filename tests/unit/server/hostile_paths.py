"""Five hundred names that lead out of a folder, on some system or in some encoding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

TARGETS = ("canary.png", "canary", "etc/passwd")
_CLIMBS = (
    "../",
    "..\\",
    "....//",
    "..;/",
    "./../",
    "..//",
    "x/../../",
    "x\\..\\..\\",
    "%2e%2e/",
    "%2e%2e%2f",
    "%252e%252e%252f",
)
_CLIMBS += (
    "..%2f",
    "..%5c",
    "%2e%2e%5c",
    "..%255c",
    "..%c0%af",
    "%c0%ae%c0%ae/",
    "..%c1%9c",
    "..%00/",
    "..%0a/",
    "\u2025/",
    "\uff0e\uff0e/",
)
_CLIMBS += (
    "\uff0e\uff0e\uff0f",
    "..\u2215",
    "..\u2044",
    ".\u200b./",
    "\u202e../",
    "..\uff3c",
    ". ./",
    ".. /",
    "..\t/",
    "..\0/",
    "..\u00a0/",
)
_STARTS = (
    "/",
    "//",
    "///",
    "\\",
    "\\\\",
    "~",
    "~/",
    "~root/",
    "C:",
    "C:/",
    "c:\\",
    "C:\\\\",
    "\\\\host\\share\\",
    "//host/share/",
)
_STARTS += (
    "\\\\?\\C:\\",
    "\\\\.\\C:\\",
    "\\??\\",
    "file:",
    "file://",
    "file:///",
    "http://127.0.0.1/",
    "/proc/self/root/",
    "/dev/fd/",
    "/./",
    "/../",
)
_DEVICES = ("con", "PRN", "aux", "NUL", "com1", "LPT9", "con.png", "nul.txt", "aux.tar.gz", "CON.", "nul ", "com1:")
_PLAIN = (
    "",
    ".",
    "..",
    " ",
    "...",
    "/",
    "\\",
    "\0",
    "\x01",
    "\x7f",
    "\n",
    "x\0.png",
    "x.png\0",
    "x.png\n",
    "x.png:stream",
    "x.png::$DATA",
)
_PLAIN += (
    "x.",
    "x ",
    "a//b",
    "a/./b",
    "a/../b",
    "link",
    "link/canary.png",
    "chain",
    "chain/canary.png",
    "loop",
    "loop/x",
    "dangling",
)
_PLAIN += (
    "x" * 256,
    "x" * 1025,
    "x" * 5000,
    "é" * 200,
    "y/" * 600 + "z",
    "../" * 400 + "canary.png",
    "$HOME",
    "${HOME}/x",
    "%USERPROFILE%",
)
_PLAIN += (
    "`id`",
    "$(id)",
    "; id",
    "| id",
    "-rf",
    "--help",
    "*",
    "?",
    "[a]",
    "x.png [output]/..",
    "../canary.png [input]",
    "../canary.png [output]",
    "../canary.png [temp]",
)


def names(outside: str) -> list[str]:
    """The names; `outside` is the folder with the canary, which some of them spell out."""
    return list(dict.fromkeys(_names(outside)))


def _names(outside: str) -> Iterator[str]:
    yield from _PLAIN
    yield from _DEVICES
    for depth, climb, target in product((1, 2, 3, 6, 12), _CLIMBS, TARGETS):
        yield climb * depth + target
    for start, target in product(_STARTS, TARGETS):
        yield start + target
    for target in TARGETS:
        yield f"{outside}/{target}"
        yield f"{outside}/{target}".replace("/", "\\")
        yield f"file://{outside}/{target}"
        yield f"sub/{outside}/{target}"
