"""A1111's prompt editing: what a prompt reads at each step of a sampling, and its parts joined by AND.

`[from:to:when]` swaps one text for another, `[to:when]` adds one, `[from::when]` takes one away; `[a|b]` takes turns
step by step. `when` is a number of steps, or with a decimal point a share of them. Source: the published description
of the features (the web UI's wiki, "Prompt editing", "Alternating words" and "Composable diffusion").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

_AND = re.compile(r"\bAND\b")
_PART = re.compile(r"^(.*?)(?:\s*:\s*([-+]?(?:\d+\.?\d*|\.\d+)))?\s*$", re.DOTALL)
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*\Z")
_CLOSES = {"]": "[", ")": "("}


@dataclass(frozen=True, slots=True)
class Part:
    """One of the prompts that AND joins, and its weight."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Span:
    """What a prompt reads in the steps after `start` up to and with `end`, counted from 1."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Edit:
    before: Items
    after: Items
    when: str


@dataclass(frozen=True, slots=True)
class _Turns:
    options: tuple[Items, ...]


Item: TypeAlias = str | _Edit | _Turns
Items: TypeAlias = tuple[Item, ...]


@dataclass(slots=True)
class _Frame:
    """An open bracket: what it holds so far, and where in it colons and bars lie."""

    bracket: str
    items: list[Item] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)


def parts(text: str) -> list[Part]:
    """The prompts that AND joins; each may end in `:weight`. Never raises."""
    found = []
    for piece in _AND.split(text):
        match = _PART.match(piece)
        body, weight = (match[1], match[2]) if match else (piece, None)
        found.append(Part(body, 1.0 if weight is None else float(weight)))
    return found


def spans(text: str, steps: int) -> list[Span]:
    """What `text` reads over `steps` steps; neighbours differ. Never raises: brackets that edit nothing stay text."""
    items = _parse(text)
    ends = sorted({steps, *_ends(items, steps)})
    found: list[Span] = []
    start = 0
    for end in ends:
        reading = _read(items, end, steps)
        if found and found[-1].text == reading:
            found[-1] = Span(reading, found[-1].start, end)
        else:
            found.append(Span(reading, start, end))
        start = end
    return found


def _parse(text: str) -> Items:
    stack = [_Frame("")]
    position = 0
    while position < len(text):
        character = text[position]
        length = 2 if character == "\\" else 1
        token = text[position : position + length]
        position += length
        if character in "[(":
            stack.append(_Frame(character))
        elif character in _CLOSES and stack[-1].bracket == _CLOSES[character]:
            frame = stack.pop()
            stack[-1].items += _closed(frame) if character == "]" else ["(", *frame.items, ")"]
        else:
            if character in ":|":
                stack[-1].marks.append((len(stack[-1].items), character))
            stack[-1].items.append(token)
    return tuple(item for frame in stack for item in (frame.bracket, *frame.items) if item)


def _closed(frame: _Frame) -> list[Item]:
    """What a square bracket means, once its end is found."""
    colons = [place for place, mark in frame.marks if mark == ":"]
    if colons:
        when = frame.items[colons[-1] + 1 :]
        written = "".join(item for item in when if isinstance(item, str))
        if len(colons) <= 2 and all(isinstance(item, str) for item in when) and _NUMBER.match(written):
            first = colons[0] if len(colons) == 2 else -1
            before = tuple(frame.items[: max(first, 0)])
            return [_Edit(before, tuple(frame.items[first + 1 : colons[-1]]), written.strip())]
    elif frame.marks:
        bounds = [-1, *(place for place, _ in frame.marks), len(frame.items)]
        options = (tuple(frame.items[a + 1 : b]) for a, b in pairwise(bounds))
        return [_Turns(tuple(options))]
    return ["[", *frame.items, "]"]


def _step_of(when: str, steps: int) -> int:
    """The last step before an edit; huge numbers are the last step of all."""
    value = float(when) if when.lstrip("+-").isdigit() else float(when) * steps
    return int(max(0.0, min(value, float(steps))))


def _ends(items: Items, steps: int) -> Iterator[int]:
    """Steps after which the text may change."""
    waiting: list[Item] = list(items)
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Edit):
            end = _step_of(item.when, steps)
            if end >= 1:
                yield end
            waiting += [*item.before, *item.after]
        elif isinstance(item, _Turns):
            yield from range(1, steps + 1)
            waiting += [inner for option in item.options for inner in option]


def _read(items: Sequence[Item], step: int, steps: int) -> str:
    """The text at a step, counted from 1. Without recursion, so that no depth of brackets is too deep."""
    waiting: list[Item] = list(reversed(items))
    written: list[str] = []
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            written.append(item)
        elif isinstance(item, _Edit):
            chosen = item.before if step <= _step_of(item.when, steps) else item.after
            waiting += reversed(chosen)
        else:
            waiting += reversed(item.options[(step - 1) % len(item.options)])
    return "".join(written)
