"""The CLIP tokenizer, against published ids and transformers' own tokenizer on the same table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.text.tokenizer import END, START, ClipTokenizer
from tests.oracles.tokenizers import clip

TOKENIZER, REFERENCE = ClipTokenizer.load(), clip()


def test_the_table_gives_the_standard_vocabulary() -> None:
    assert len(REFERENCE) == 49408
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
    assert TOKENIZER.encode(text) == REFERENCE(text)["input_ids"][1:-1]


@given(st.text(max_size=40))
def test_any_text_equals_transformers_and_stays_in_the_vocabulary(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert ids == REFERENCE(text)["input_ids"][1:-1]
    assert all(0 <= token <= END for token in ids)


@given(st.lists(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=8), max_size=6))
def test_words_apart_have_the_ids_they_have_together(words: list[str]) -> None:
    apart = [token for word in words for token in TOKENIZER.encode(word)]
    assert TOKENIZER.encode(" ".join(words)) == apart
