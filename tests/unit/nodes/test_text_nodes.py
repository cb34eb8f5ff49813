"""Nodes that work on texts, choose between values, and show them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.node import NodeContext
from engine.node.context import Shown
from engine.node.declare import definition_of
from nodes import show, strings
from nodes.logic import switch_value
from nodes.show import custom_combo, preview_any
from nodes.strings import PatternError


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        ("concatenate", ("a", "b", ", "), "a, b"),
        ("substring", ("seven", 1, -1), "eve"),
        ("substring", ("seven", 4, 2), ""),
        ("length", ("größe",), 5),
        ("convert_case", ("two wORDS", "UPPERCASE"), "TWO WORDS"),
        ("convert_case", ("two wORDS", "lowercase"), "two words"),
        ("convert_case", ("two wORDS", "Capitalize"), "Two words"),
        ("convert_case", ("two wORDS", "Title Case"), "Two Words"),
        ("trim", ("\n a ", "Both"), "a"),
        ("trim", (" a ", "Left"), "a "),
        ("trim", (" a ", "Right"), " a"),
        ("replace_text", ("a.b.c", ".", ""), "abc"),
        ("contains", ("Red apple", "red"), False),
        ("contains", ("Red apple", "red", False), True),
        ("compare", ("Apple", "app", "Starts With"), False),
        ("compare", ("Apple", "app", "Starts With", False), True),
        ("compare", ("Apple", "ple", "Ends With"), True),
        ("compare", ("Apple", "apple", "Equal", False), True),
        ("regex_match", ("seed 42", r"SEED \d+"), True),
        ("regex_match", ("seed 42", r"SEED \d+", False), False),
        ("regex_match", ("a\nb", r"^b$"), False),
        ("regex_match", ("a\nb", r"^b$", True, True), True),
        ("regex_match", ("a\nb", r"a.b", True, False, True), True),
        ("regex_extract", ("a1 b22", r"\w(\d+)", "First Match"), "a1"),
        ("regex_extract", ("a1 b22", r"\w\d+", "All Matches"), "a1\nb22"),
        ("regex_extract", ("a1 b22", r"(\w)(\d+)", "All Matches"), "a\nb"),
        ("regex_extract", ("a1 b22", r"(\w)(\d+)", "First Group", True, False, False, 2), "1"),
        ("regex_extract", ("a1 b22", r"(\w)(\d+)", "All Groups", True, False, False, 2), "1\n22"),
        ("regex_extract", ("a1 b22", r"(\w)(\d+)", "All Groups", True, False, False, 3), ""),
        ("regex_extract", ("a1", r"(x)?a", "First Group"), ""),
        ("regex_extract", ("none", r"\d", "First Match"), ""),
        ("regex_replace", ("a1 b2", r"(\w)(\d)", r"\2\1"), "1a 2b"),
        ("regex_replace", ("aAa", "a", "x"), "xxx"),
        ("regex_replace", ("aAa", "a", "x", False, False, False, 1), "xAa"),
    ],
)
def test_texts_are_worked_on(function: str, arguments: tuple[Any, ...], result: object) -> None:
    assert getattr(strings, function)(*arguments) == result


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<1>x)", "a{99999999999}"])
def test_a_bad_pattern_is_told_by_input(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"input regex_pattern: this is no regular expression, got|input regex"):
        strings.regex_match("text", pattern)


@pytest.mark.parametrize("replacement", [r"\2", r"\g<name>", "\\"])
def test_a_bad_replacement_is_told_by_input(replacement: str) -> None:
    with pytest.raises(PatternError, match=r"input replace: .*Name groups"):
        strings.regex_replace("text", "(t)", replacement)


def test_a_switch_hands_on_one_value_and_asks_for_no_other() -> None:
    assert switch_value(True, None, "yes") == "yes"
    assert switch_value(False, "no", None) == "no"
    definition = definition_of(switch_value)
    assert definition is not None
    assert definition.demand is not None
    assert list(definition.demand(switch=True, on_false=None, on_true=None)) == ["on_true"]
    assert list(definition.demand(switch=False, on_false=None, on_true=None)) == ["on_false"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (3, "3"),
        (0.5, "0.5"),
        (None, "null"),
        ({"a": [1, "ä"]}, '{"a": [1, "ä"]}'),
        (torch.tensor([[0.0, 1.5]]), "float32 (1, 2) from 0 to 1.5"),
        (torch.zeros(0), "float32 (0,)"),
        (object(), "object"),
    ],
)
def test_any_value_is_shown_as_text(value: object, text: str) -> None:
    notes: list[object] = []
    preview_any(value, NodeContext(report=notes.append))
    assert notes == [Shown(text)]


def test_a_very_long_text_is_cut() -> None:
    notes: list[Any] = []
    preview_any("x" * 200_000, NodeContext(report=notes.append))
    assert len(notes[0].text) == show.SHOWN_CHARACTERS


def test_a_choice_of_the_users_own_is_not_checked_against_a_list() -> None:
    definition = definition_of(custom_combo)
    assert definition is not None
    assert definition.spec.checked_inputs == ("choice",)
    assert custom_combo("mine") == "mine"
