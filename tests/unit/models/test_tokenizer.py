"""The CLIP tokenizer, against published ids and transformers' own tokenizer on the same table."""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from engine.models.text.tokenizer import END, START, ClipTokenizer

TOKENIZER = ClipTokenizer.load()


@lru_cache
def reference() -> Any:
    """transformers' tokenizer, its vocabulary built here from the merge table alone."""
    data = files("engine.models.text").joinpath("data/clip_merges.txt.gz").read_bytes()
    merges = [tuple(line.split()) for line in gzip.decompress(data).decode().splitlines()]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


def test_the_table_gives_the_standard_vocabulary() -> None:
    assert len(reference()) == 49408
    assert (START, END) == (49406, 49407)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("A painting of a flooble", [320, 3086, 539, 320, 4062, 1059]),
        ("  a \n\t CAT  ", [320, 2368]),
        ("<|endoftext|>", [49407]),
        ("don't 2024!", [847, 713, 273, 271, 273, 275, 256]),
    ],
)
def test_known_texts_have_their_published_ids(text: str, ids: list[int]) -> None:
    assert TOKENIZER.encode(text) == ids


@pytest.mark.parametrize(
    "text", ["it's café", "e\u0301te\u0301", "日本の猫 🐱", "a_b-c, (d)", "¿qué? 3½", "İstanbul ſ"]
)
def test_texts_of_many_scripts_equal_transformers(text: str) -> None:
    assert TOKENIZER.encode(text) == reference()(text)["input_ids"][1:-1]


@given(st.text(max_size=40))
def test_any_text_equals_transformers_and_stays_in_the_vocabulary(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert ids == reference()(text)["input_ids"][1:-1]
    assert all(0 <= token <= END for token in ids)


@given(st.lists(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=8), max_size=6))
def test_words_apart_have_the_ids_they_have_together(words: list[str]) -> None:
    apart = [token for word in words for token in TOKENIZER.encode(word)]
    assert TOKENIZER.encode(" ".join(words)) == apart
