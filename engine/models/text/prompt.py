"""The prompt dialect of ComfyUI: emphasis, escapes, embeddings, and chunks of 75 tokens.

`(text)` multiplies the weight by 1.1, `(text:1.3)` sets it to 1.3, brackets nest, `\\(` and `\\)` are plain brackets,
and `embedding:name` is replaced by the vectors of a textual inversion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

EMPHASIS = 1.1
CHUNK = 75
LONG_GROUP = 8  # groups of this many tokens or more are cut at the end of a chunk, shorter ones move to the next
_EMBEDDING = "embedding:"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of text with one weight."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """A textual inversion asked for by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Weighted(Generic[T]):
    """A token with its weight."""

    token: T
    weight: float


@dataclass(frozen=True, slots=True)
class _Bracket:
    """A matched pair: where its text ends (at the closing bracket or the colon of its weight) and the weight set."""

    close: int
    text_end: int
    weight: float | None


def parse(text: str) -> list[Segment]:
    """`text` as segments in order. Never raises: brackets without a partner are plain text."""
    brackets = _brackets(text)
    segments: list[Segment] = []
    run: list[str] = []
    open_brackets: list[tuple[_Bracket, float]] = []
    weight, position = 1.0, 0
    while position < len(text):
        inner = open_brackets[-1][0] if open_brackets else None
        if inner and position == inner.text_end:
            _finish(run, weight, segments)
            weight = open_brackets.pop()[1]
            position = inner.close
        elif position in brackets:
            _finish(run, weight, segments)
            bracket = brackets[position]
            open_brackets.append((bracket, weight))
            weight = weight * EMPHASIS if bracket.weight is None else bracket.weight
        elif _is_escape(text, position):
            position += 1
            run.append(text[position])
        else:
            run.append(text[position])
        position += 1
    _finish(run, weight, segments)
    return segments


def words(text: str) -> list[str | Embedding]:
    """The words of `text`; each `embedding:name` is one of its own, and a comma ends its name."""
    parts: list[str | Embedding] = []
    for word in text.split():
        if not word.startswith(_EMBEDDING):
            parts.append(word)
            continue
        name, comma, rest = word.removeprefix(_EMBEDDING).partition(",")
        parts += [Embedding(name)] if name else [word.partition(",")[0]]
        parts += [comma + rest] if comma else []
    return parts


def chunks(groups: Sequence[Sequence[Weighted[T]]], size: int = CHUNK) -> list[list[Weighted[T]]]:
    """Groups of tokens laid out in chunks of up to `size`; at least one chunk, which may be empty.

    A group that does not fit the rest of a chunk moves to the next one whole, unless it has `LONG_GROUP` tokens or
    more: that is cut.
    """
    laid: list[list[Weighted[T]]] = [[]]
    for group in groups:
        left = list(group)
        while left:
            room = size - len(laid[-1])
            if len(left) <= room:
                laid[-1] += left
                break
            if len(group) >= LONG_GROUP:
                laid[-1] += left[:room]
                left = left[room:]
            laid.append([])
    return laid


def _finish(run: list[str], weight: float, segments: list[Segment]) -> None:
    if run:
        segments.append(Segment("".join(run), weight))
        run.clear()


def _is_escape(text: str, position: int) -> bool:
    return text[position] == "\\" and text[position + 1 : position + 2] in ("(", ")")


def _brackets(text: str) -> dict[int, _Bracket]:
    """The matched pairs by the place of their opening bracket."""
    pairs: dict[int, _Bracket] = {}
    opened: list[int] = []
    position = 0
    while position < len(text):
        if _is_escape(text, position):
            position += 1
        elif text[position] == "(":
            opened.append(position)
        elif text[position] == ")" and opened:
            start = opened.pop()
            pairs[start] = _bracket(text, start, position)
        position += 1
    return pairs


def _bracket(text: str, start: int, close: int) -> _Bracket:
    colon = text.rfind(":", start + 2, close)  # a colon right after the bracket sets nothing
    weight = _number(text[colon + 1 : close]) if colon > 0 else None
    return _Bracket(close, close if weight is None else colon, weight)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
