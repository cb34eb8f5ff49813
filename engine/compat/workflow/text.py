"""What the editor does to texts when it sends them: random choices, comments, and dates and values in file names."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from engine.foundation.json import JsonValue, dumps

_COMMENT = re.compile(r"//|/\*")
_LINE_COMMENT = re.compile(r"//")
_TOKEN = re.compile(r"\\[{}|]|[{}|]")
_PLACEHOLDER = re.compile(r"%([^%]+)%")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_DATE = re.compile(r"yyyy|yy|MM|M|dd|d|hh|h|mm|m|ss|s")
_DATE_PARTS: Mapping[str, str] = {"y": "year", "M": "month", "d": "day", "h": "hour", "m": "minute", "s": "second"}


def expand_prompt(text: str, rng: random.Random) -> str:
    r"""`text` without its comments (`//`, `/* */`) and with one of each `{a|b|c}`, which may nest.

    `\\{`, `\\}` and `\\|` stand for the character itself. A brace without its partner is text like any other.
    """
    text = _without_comments(text)
    frames: list[list[list[str]]] = [[[]]]  # per open brace, and for the text around: alternatives, each in pieces
    end = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        frames[-1][-1].append(text[end : match.start()])
        end = match.end()
        if token == "{":
            frames.append([[]])
        elif token == "|" and len(frames) > 1:
            frames[-1].append([])
        elif token == "}" and len(frames) > 1:
            chosen = rng.choice(frames.pop())
            frames[-1][-1].append("".join(chosen))
        else:
            frames[-1][-1].append(token[-1])
    frames[-1][-1].append(text[end:])
    return "{".join("|".join("".join(pieces) for pieces in alternatives) for alternatives in frames)


def _without_comments(text: str) -> str:
    """`text` without comments, in linear time; one that is not closed is no comment."""
    kept: list[str] = []
    opening, start, at = _COMMENT, 0, 0
    while match := opening.search(text, at):
        closing = "\n" if match[0] == "//" else "*/"
        end = text.find(closing, match.end())
        if end < 0 and closing == "*/":
            opening, at = _LINE_COMMENT, match.end()
            continue
        kept.append(text[start : match.start()])
        start = at = len(text) if end < 0 else end + (closing == "*/") * 2
    return "".join(kept) + text[start:]


def fill_placeholders(text: str, now: datetime, value_of: Callable[[str, str], JsonValue]) -> str:
    """`text` with `%date:yyyy-MM-dd%` and `%Node.widget%` filled in; other placeholders stay for the node itself.

    `value_of(node, widget)` is None for what does not exist. Characters that no file name may hold become `_`.
    """

    def fill(match: re.Match[str]) -> str:
        inner = match[1]
        if inner.startswith("date:"):
            return _UNSAFE.sub("_", format_date(inner.removeprefix("date:"), now))
        node, dot, widget = inner.partition(".")
        value = value_of(node, widget) if dot else None
        return match[0] if value is None else _UNSAFE.sub("_", value if isinstance(value, str) else dumps(value))

    return _PLACEHOLDER.sub(fill, text)


def format_date(pattern: str, now: datetime) -> str:
    """`now` after a pattern of `yyyy MM dd hh mm ss` (or one letter: without the leading zero); hours up to 23."""

    def part(match: re.Match[str]) -> str:
        token = match[0]
        number = int(getattr(now, _DATE_PARTS[token[0]]))
        if token[0] == "y":
            return f"{number:04}"[-len(token) :]
        return f"{number:0{len(token)}}"

    return _DATE.sub(part, pattern)
