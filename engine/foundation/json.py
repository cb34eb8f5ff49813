"""Strict JSON for everything that comes from outside: files, requests, picture metadata.

`json.loads` alone is too trusting: it recurses, lets a duplicate key win silently, accepts `NaN`, turns `1e999` into
infinity and lets half a surrogate pair through, which then cannot be written back as UTF-8. `parse` refuses all of
these with the line and column.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from engine.foundation.errors import EaselError

JsonValue: TypeAlias = Any
"""None, bool, int, float, str, or lists and text-keyed dicts of these."""

MAX_BYTES = 100 * 2**20
MAX_DEPTH = 64

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'  # the closing quote is optional: an open string must not be scanned twice
_NESTING = re.compile(rf"{_STRING}|[\[{{]|[\]}}]", re.DOTALL)
_KEYS = re.compile(rf"(?P<text>{_STRING})(?P<key>\s*:)?|[{{}}]", re.DOTALL)
_SURROGATES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class JsonError(EaselError):
    """Text that is not acceptable JSON, or a value JSON cannot hold; `line`, `column` count from 1 (0: not known)."""

    code: ClassVar[str] = "invalid_json"

    def __init__(self, message: str, *, where: str = "", line: int = 0, column: int = 0, hint: str = "") -> None:
        super().__init__(f"{message} (line {line}, column {column})" if line else message, where=where, hint=hint)
        self.line = line
        self.column = column


class _DuplicateKeyError(ValueError):
    """Raised inside the decoder, which knows no position."""


def parse(data: bytes | str, *, where: str = "", max_depth: int = MAX_DEPTH, max_bytes: int = MAX_BYTES) -> JsonValue:
    """The value written in `data` (UTF-8, a byte order mark is allowed).

    Raises `JsonError` for text that is no JSON, is longer than `max_bytes`, nests deeper than `max_depth`, repeats a
    key, or holds a number or character that cannot be written back. `where` names the source in the message.
    """
    return _parse(data, where, max_depth, max_bytes, _refuse_constant, _finite)


def parse_lenient(
    data: bytes | str, *, where: str = "", max_depth: int = MAX_DEPTH, max_bytes: int = MAX_BYTES
) -> JsonValue:
    """As `parse`, but numbers that JSON does not have become null: Python-written pictures hold a bare `NaN`."""
    return _parse(data, where, max_depth, max_bytes, lambda _: None, _finite_or_null)


def dumps(value: JsonValue, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """`value` as ASCII text that `parse` reads back equal; the same value in the same order gives the same text.

    Raises `JsonError` for what JSON does not have: NaN, infinities, other types, cycles, nesting without end.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        return json.dumps(value, allow_nan=False, indent=indent, sort_keys=sort_keys, separators=separators)
    except (ValueError, TypeError, RecursionError) as error:
        raise JsonError(f"the value cannot be written as JSON: {error}") from error


def _parse(
    data: bytes | str,
    where: str,
    max_depth: int,
    max_bytes: int,
    constant: Callable[[str], None],
    number: Callable[[str], float | None],
) -> JsonValue:
    text = _text(data, where, max_bytes)
    _check_depth(text, where, max_depth)
    _check_surrogates(text, where)
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=constant, parse_float=number)
    except json.JSONDecodeError as error:
        raise JsonError(error.msg, where=where, line=error.lineno, column=error.colno) from error
    except _DuplicateKeyError as error:
        raise _at(text, _duplicate_offset(text), f"duplicate key {error}", where) from error
    except ValueError as error:  # our number hooks, and Python's limit on the digits of a whole number
        raise JsonError(str(error), where=where) from error


def _text(data: bytes | str, where: str, max_bytes: int) -> str:
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > max_bytes:
            raise JsonError(f"{len(raw)} bytes of JSON are more than the limit of {max_bytes}", where=where)
        return raw.decode("utf-8-sig")
    except UnicodeError as error:
        raise JsonError(f"the text is not UTF-8: {error}", where=where) from error


def _check_depth(text: str, where: str, max_depth: int) -> None:
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for match in _NESTING.finditer(text):
        token = text[match.start()]
        if token in "[{":
            depth += 1
            if depth > max_depth:
                raise _at(text, match.start(), f"nested more than {max_depth} levels deep", where)
        elif token != '"':
            depth -= 1


def _check_surrogates(text: str, where: str) -> None:
    if "\\ud" not in text and "\\uD" not in text:
        return
    for match in _SURROGATES.finditer(text):
        if match["lone"]:
            raise _at(text, match.start(), "half a surrogate pair is no character", where)


def _duplicate_offset(text: str) -> int:
    """Where the first repeated key of `text` stands; the caller knows there is one."""
    seen: list[set[str]] = []
    for match in _KEYS.finditer(text):
        if match["key"]:
            key = json.loads(match["text"], strict=False)
            if key in seen[-1]:
                return match.start()
            seen[-1].add(key)
        elif match[0] == "{":
            seen.append(set())
        elif match[0] == "}":
            seen.pop()
    return 0


def _at(text: str, offset: int, message: str, where: str) -> JsonError:
    line = text.count("\n", 0, offset) + 1
    return JsonError(message, where=where, line=line, column=offset - text.rfind("\n", 0, offset))


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _DuplicateKeyError(json.dumps(Counter(key for key, _ in pairs).most_common(1)[0][0]))
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


def _finite_or_null(digits: str) -> float | None:
    value = float(digits)
    return None if math.isinf(value) else value
