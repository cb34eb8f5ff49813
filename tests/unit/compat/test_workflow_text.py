"""Texts change on their way to the prompt: choices, comments, dates, values in file names."""

from __future__ import annotations

import random
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.compat.workflow.text import expand_prompt, fill_placeholders, format_date

NOW = datetime(2026, 3, 4, 5, 6, 7)
VALUES = {("A", "n"): 7, ("A", "t"): 'a/b\\c:"d"\n', ("A", "on"): True, ("B", "x.y"): 1.5}


def expand(text: str) -> str:
    return expand_prompt(text, random.Random(0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain (word:1.2) text", "plain (word:1.2) text"),
        ("a {cat}!", "a cat!"),
        ("{{{deep}}}", "deep"),
        ("{|}", ""),
        ("", ""),
        (r"\{a\|b\}", "{a|b}"),
        (r"{a\|b}", "a|b"),
        (r"\(kept\) \n", r"\(kept\) \n"),
        ("a|b", "a|b"),
        ("no } partner", "no } partner"),
        ("no { partner | {here}", "no { partner | here"),
        ("a // b {c|d}\ne", "a \ne"),
        ("a /* b\n // */ c", "a  c"),
        ("a /* b // c\nd", "a /* b \nd"),
        ("/*/ x */y", "y"),
        ("to the end // of it", "to the end "),
    ],
)
def test_comments_go_and_braces_become_one_of_their_alternatives(text, expected):
    assert expand(text) == expected


def test_every_alternative_is_drawn_about_as_often():
    rng = random.Random(1)
    drawn = [expand_prompt("{a|b|{c|d}}", rng) for _ in range(3000)]
    shares = [drawn.count(letter) / 3000 for letter in "abcd"]
    assert shares == pytest.approx([1 / 3, 1 / 3, 1 / 6, 1 / 6], abs=0.03)


@given(st.text(alphabet="ab{}|\\/*\n ", max_size=40), st.integers())
def test_any_text_expands_to_one_that_holds_no_more_than_it_did(text, seed):
    assert len(expand_prompt(text, random.Random(seed))) <= len(text)


@pytest.mark.parametrize("text", ["/*" * 200_000, "{" * 200_000, "\\{" * 200_000, "{a" * 50_000 + "}" * 50_000])
def test_long_texts_of_nothing_but_signs_expand(text):
    assert len(expand(text)) <= len(text)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy-MM-dd hh:mm:ss", "2026-03-04 05:06:07"),
        ("yy M d h m s", "26 3 4 5 6 7"),
        ("yyyyMMddhhmmss", "20260304050607"),
        ("", ""),
    ],
)
def test_a_date_follows_its_pattern(pattern, expected):
    assert format_date(pattern, NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%date:yyyy.MM.dd%/x", "2026.03.04/x"),
        ("%date:hh:mm%", "05_06"),
        ("%A.n%-%A.on%", "7-true"),
        ("%A.t%", "a_b_c__d__"),
        ("%B.x.y%", "1.5"),
        ("%A.missing% %Nobody.n% %width% 100%", "%A.missing% %Nobody.n% %width% 100%"),
    ],
)
def test_placeholders_are_filled_with_what_a_file_name_may_hold(text, expected):
    assert fill_placeholders(text, NOW, lambda node, widget: VALUES.get((node, widget))) == expected
