"""The prompt dialect: weights, escapes, embeddings, and chunks of 75 tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.text.prompt import CHUNK, Embedding, Segment, Weighted, chunks, parse, words


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", []),
        ("a cat", [("a cat", 1.0)]),
        ("a (cat)", [("a ", 1.0), ("cat", 1.1)]),
        ("((cat))", [("cat", 1.1 * 1.1)]),
        ("(cat:1.5)", [("cat", 1.5)]),
        ("(a (b:2) c:0.5) d", [("a ", 0.5), ("b", 2.0), (" c", 0.5), (" d", 1.0)]),
        ("((cat:1.5))", [("cat", 1.5)]),
        ("(a (b):1.5)", [("a ", 1.5), ("b", 1.5 * 1.1)]),
        ("(cat:-0.5)", [("cat", -0.5)]),
        ("(cat:loud)", [("cat:loud", 1.1)]),
        ("(cat:inf)(cat:nan)", [("cat:inf", 1.1), ("cat:nan", 1.1)]),
        ("(:2)", [(":2", 1.1)]),
        (r"\(cat\)", [("(cat)", 1.0)]),
        (r"(a \) b:1.3)", [("a ) b", 1.3)]),
        (r"C:\cats", [(r"C:\cats", 1.0)]),
        ("(cat", [("(cat", 1.0)]),
        ("cat) (dog)", [("cat) ", 1.0), ("dog", 1.1)]),
        ("()", []),
    ],
)
def test_brackets_weigh_what_they_hold(text: str, segments: list[tuple[str, float]]) -> None:
    assert parse(text) == [Segment(part, pytest.approx(weight)) for part, weight in segments]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (" a  cat\n", ["a", "cat"]),
        ("a embedding:style, b", ["a", Embedding("style"), ",", "b"]),
        ("embedding:folder/style.pt", [Embedding("folder/style.pt")]),
        ("embedding:a,embedding:b", [Embedding("a"), ",embedding:b"]),
        ("anembedding:style embedding: x", ["anembedding:style", "embedding:", "x"]),
    ],
)
def test_embeddings_are_words_of_their_own(text: str, parts: list[str | Embedding]) -> None:
    assert words(text) == parts


def test_ten_thousand_brackets_are_parsed() -> None:
    assert parse("(" * 5000 + "cat" + ")" * 5000)[0].text == "cat"


@given(st.text("()\\:.1a \n"))
def test_no_text_makes_the_parser_fail_or_lose_letters(text: str) -> None:
    assert "".join(segment.text for segment in parse(text)).count("a") == text.count("a")


PLAIN = st.text("abc ,.-[]{}", min_size=1, max_size=12)
WEIGHTS = st.floats(-10, 10).map(lambda weight: round(weight, 3))


@given(st.lists(st.tuples(PLAIN, WEIGHTS), max_size=6))
def test_written_weights_are_read_back(parts: list[tuple[str, float]]) -> None:
    text = "".join(f"({part}:{weight})" for part, weight in parts)
    assert parse(text) == [Segment(part, weight) for part, weight in parts]


@given(st.text(max_size=30))
def test_escaped_text_is_read_back(text: str) -> None:
    text = text.replace("\\", "")
    escaped = text.replace("(", "\\(").replace(")", "\\)")
    assert parse(escaped) == ([Segment(text, 1.0)] if text else [])


def groups(*sizes: int) -> list[list[Weighted[int]]]:
    return [[Weighted(number, 1.0)] * size for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [
        ((), [0]),
        ((75,), [75]),
        ((70, 5), [75]),
        ((70, 7), [70, 7]),
        ((70, 8), [75, 3]),
        ((200,), [75, 75, 50]),
        ((0, 3, 0), [3]),
        ((75, 1), [75, 1]),
    ],
)
def test_short_groups_move_whole_and_long_ones_are_cut(sizes: tuple[int, ...], lengths: list[int]) -> None:
    assert [len(chunk) for chunk in chunks(groups(*sizes))] == lengths


@given(st.lists(st.integers(0, 160), max_size=40))
def test_chunks_hold_every_token_in_order(sizes: list[int]) -> None:
    given_groups = groups(*sizes)
    laid = chunks(given_groups)
    assert [token for chunk in laid for token in chunk] == [token for group in given_groups for token in group]
    assert all(len(chunk) <= CHUNK for chunk in laid)
