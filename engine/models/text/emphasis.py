"""A1111's emphasis: `(text)` times 1.1, `[text]` through 1.1, `(text:1.3)` times 1.3, `BREAK` for a new chunk.

Brackets nest and their weights multiply; one that is never closed counts to the end. A backslash makes a bracket plain
text. Source: the published description (the web UI's wiki, "Attention/emphasis" and "Infinite prompt length").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from engine.models.text.prompt import CHUNK, EMPHASIS, Segment, Weighted

COMMA_REACH = 20  # a full chunk ends at its last comma instead, if that lies at most so many tokens back
MOST = 1e6  # keeps weights finite, however deep the brackets

_TOKEN = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|\)|\]|[^\\()\[\]:]+|:", re.DOTALL)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Break:
    """Here a new chunk begins."""


BREAK: Final = Break()


@dataclass(frozen=True, slots=True)
class _Range:
    """From one piece up to another the weight is multiplied."""

    start: int
    end: int
    factor: float


def parse(text: str) -> list[Segment | Break]:
    """`text` as runs of one weight, and breaks between them. Never raises; weights are finite."""
    pieces: list[str | Break] = []
    ranges: list[_Range] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def close(bracket: str, factor: float, otherwise: str) -> None:
        if opened[bracket]:
            ranges.append(_Range(opened[bracket].pop(), len(pieces), max(-MOST, min(factor, MOST))))
        else:
            pieces.append(otherwise)

    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in opened:
            opened[token].append(len(pieces))
        elif match[1] is not None:
            close("(", float(match[1]), token)
        elif token == ")":
            close("(", EMPHASIS, token)
        elif token == "]":
            close("[", 1 / EMPHASIS, token)
        elif len(token) == 2 and token[0] == "\\":
            pieces.append(token[1])
        else:
            pieces += _broken(token)
    ranges += [_Range(start, len(pieces), EMPHASIS) for start in opened["("]]
    ranges += [_Range(start, len(pieces), 1 / EMPHASIS) for start in opened["["]]
    return _runs(pieces, _weights(len(pieces), ranges))


def chunks(
    groups: Iterable[Sequence[Weighted[T]] | Break], is_comma: Callable[[T], bool], size: int = CHUNK
) -> list[list[Weighted[T]]]:
    """Groups of tokens laid out in chunks of up to `size`; at least one chunk, which may be empty.

    A break begins a new chunk. A chunk that is full gives what follows its last comma to the next one, unless that is
    more than `COMMA_REACH` tokens. A group stays together unless it is longer than a chunk.
    """
    laid: list[list[Weighted[T]]] = [[]]
    comma: int | None = None
    ended = False  # a break at the very end begins no chunk
    for group in groups:
        if isinstance(group, Break):
            laid += [[]] if ended else []
            comma, ended = None, True
            continue
        for part in _pieces(group, size):
            full = len(laid[-1]) + len(part) > size
            if ended:
                laid.append([])
            elif full:
                cut = len(laid[-1]) if comma is None or len(laid[-1]) - comma > COMMA_REACH else comma + 1
                laid.append(laid[-1][cut:])
                del laid[-2][cut:]
            comma = None if full or ended else comma
            ended = False
            if is_comma(part[0].token):
                comma = len(laid[-1])
            laid[-1] += part
    return laid


def _broken(text: str) -> Iterator[str | Break]:
    """`text` with its BREAKs, and the space around them, as such."""
    for number, part in enumerate(_BREAK.split(text)):
        if number:
            yield BREAK
        if part:
            yield part


def _weights(count: int, ranges: Sequence[_Range]) -> list[float]:
    """The product of the factors over each of `count` pieces."""
    starts: dict[int, list[_Range]] = {}
    ending: Counter[int] = Counter()
    for item in sorted(ranges, key=lambda item: -item.end):  # the outer of two that start together comes first
        if item.end > item.start:
            starts.setdefault(item.start, []).append(item)
            ending[item.end] += 1
    active: list[tuple[_Range, float]] = []
    weights = []
    for place in range(count):
        crossed: list[_Range] = []  # brackets of two kinds may cross: what ends is not always the innermost
        while ending[place]:
            item, _ = active.pop()
            if item.end == place:
                ending[place] -= 1
            else:
                crossed.append(item)
        for item in [*reversed(crossed), *starts.get(place, ())]:
            product = (active[-1][1] if active else 1.0) * item.factor
            active.append((item, max(-MOST, min(product, MOST))))
        weights.append(active[-1][1] if active else 1.0)
    return weights


def _runs(pieces: Sequence[str | Break], weights: Sequence[float]) -> list[Segment | Break]:
    runs: list[Segment | Break] = []
    for piece, weight in zip(pieces, weights, strict=True):
        last = runs[-1] if runs else None
        if isinstance(piece, Break):
            runs.append(piece)
        elif isinstance(last, Segment) and last.weight == weight:
            runs[-1] = Segment(last.text + piece, weight)
        else:
            runs.append(Segment(piece, weight))
    return runs


def _pieces(group: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (group[start : start + size] for start in range(0, len(group), size))
