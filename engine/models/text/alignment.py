"""Which tokens of one prompt stand for which of another, for editing what attention looks at.

Words are those of the prompt dialect (`prompt`): weights and brackets are no words, and a textual inversion is one.
Source: Hertz et al. 2022 (prompt-to-prompt), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.models.text.encoder import TextEncoder
from engine.models.text.prompt import Embedding, Weighted, chunks, parse, words


class AlignmentError(EaselError):
    """Prompts that cannot be matched word by word, or a word that a prompt does not have."""

    code: ClassVar[str] = "bad_alignment"


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a prompt and the places of its tokens among its states `(T, D)`."""

    text: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The words of a prompt, and the places of what is no word: starts, ends and padding; `length` states in all."""

    words: tuple[Word, ...]
    length: int

    @property
    def rest(self) -> tuple[int, ...]:
        """The places of what is no word, in order."""
        said = {place for word in self.words for place in word.places}
        return tuple(place for place in range(self.length) if place not in said)


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How the attention to a source's tokens becomes that to a target's.

    Attention `(N, S)` to the source times `shared` `(S, T)` is that to the target's tokens that both have in common;
    `own` `(T,)` is 1 where the target's own attention counts instead.
    """

    shared: Tensor
    own: Tensor

    @property
    def keeps_all(self) -> bool:
        """Whether all of the attention is the source's, to the very same places."""
        return not self.own.any() and torch.equal(self.shared, torch.eye(len(self.own)))


def layout(encoder: TextEncoder, text: str) -> Layout:
    """Where `encoder` puts the words of `text` among the states that it gives."""
    length = encoder.recipe.length
    found: list[str] = []
    groups: list[list[Weighted[int]]] = []
    for segment in parse(text):
        for part in words(segment.text):
            count = len(encoder.vectors(part.name) if isinstance(part, Embedding) else encoder.tokenizer.encode(part))
            if count:
                groups.append([Weighted(len(found), segment.weight)] * count)
                found.append(f"embedding:{part.name}" if isinstance(part, Embedding) else part)
    laid = chunks(groups, length - 2)
    places: list[list[int]] = [[] for _ in found]
    for number, chunk in enumerate(laid):
        for place, token in enumerate(chunk):
            places[token.token].append(number * length + 1 + place)
    return Layout(tuple(Word(w, tuple(p)) for w, p in zip(found, places, strict=True)), length * len(laid))


def filled(first: Layout, second: Layout) -> tuple[Layout, Layout]:
    """Both layouts at the length of the longer one: what is added is an empty prompt's."""
    length = max(first.length, second.length)
    return Layout(first.words, length), Layout(second.words, length)


def replaced(source: Layout, target: Layout) -> Alignment:
    """Each word of the target takes the place of the source's word of the same number.

    The attention to a word is shared evenly among the tokens that replace its tokens, unless they are as many. Raises
    `AlignmentError` for prompts of other numbers of words.
    """
    if len(source.words) != len(target.words):
        raise AlignmentError(
            "these prompts have other numbers of words",
            where="inputs source and target",
            expected=f"{len(source.words)} words as in the source",
            got=f"{len(target.words)}: {' '.join(word.text for word in target.words)[:80]}",
            hint="To add words or leave some out, take PromptToPromptRefine.",
        )
    source, target = filled(source, target)
    shared = _of_rest(source, target)
    for old, new in zip(source.words, target.words, strict=True):
        _share(shared, old, new)
    return Alignment(shared, torch.zeros(target.length))


def refined(source: Layout, target: Layout) -> Alignment:
    """Words that both have, in the longest row of such words, keep the source's attention; others have their own."""
    source, target = filled(source, target)
    shared, own = _of_rest(source, target), torch.zeros(target.length)
    pairs = common([word.text.lower() for word in source.words], [word.text.lower() for word in target.words])
    kept = {new: old for old, new in pairs}
    for number, word in enumerate(target.words):
        if number in kept:
            _share(shared, source.words[kept[number]], word)
        else:
            own[list(word.places)] = 1.0
    return Alignment(shared, own)


def common(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    """The places of the longest row of words that both have in the same order (their longest common subsequence)."""
    longest = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in reversed(range(len(first))):
        for j in reversed(range(len(second))):
            same = longest[i + 1][j + 1] + 1 if first[i] == second[j] else 0
            longest[i][j] = max(same, longest[i + 1][j], longest[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        if first[i] == second[j] and longest[i][j] == longest[i + 1][j + 1] + 1:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def places_of(layout: Layout, asked: str, where: str) -> list[int]:
    """The places of every word of `layout` that reads `asked`, whatever its case and the signs around it.

    Raises `AlignmentError` if there is none.
    """
    found = [place for word in layout.words if _bare(word.text) == _bare(asked) for place in word.places]
    if not found:
        raise AlignmentError(
            "the prompt does not have this word",
            where=where,
            expected="one of " + ", ".join(dict.fromkeys(_bare(word.text) for word in layout.words)),
            got=asked[:80],
        )
    return found


def _bare(word: str) -> str:
    return word.lower().strip(".,;:!?'\"")


def _of_rest(source: Layout, target: Layout) -> Tensor:
    """Starts, ends and padding for each other in order; what a source has more of goes to the target's last one."""
    shared = torch.zeros(source.length, target.length)
    rest = target.rest
    for number, place in enumerate(source.rest):
        shared[place, rest[min(number, len(rest) - 1)]] += 1.0
    return shared


def _share(shared: Tensor, old: Word, new: Word) -> None:
    if len(old.places) == len(new.places):
        shared[list(old.places), list(new.places)] = 1.0
        return
    for place in old.places:
        shared[place, list(new.places)] = 1 / len(new.places)
