"""JSON from outside is refused with a place, whatever is wrong with it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.foundation.json import JsonError, dumps, parse, parse_lenient

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_what_is_written_reads_back_equal(value):
    assert parse(dumps(value)) == value
    assert parse(dumps(value, indent=1).encode()) == value


@given(st.text(alphabet='[]{}",:\\ud8c01eE-.nNaI \n', max_size=60))
def test_any_text_is_parsed_or_refused_and_agrees_with_the_standard_library(text):
    try:
        parsed = parse(text)
    except JsonError:
        return
    assert json.loads(text) == parsed


@given(st.binary(max_size=40))
def test_any_bytes_are_parsed_or_refused(data):
    with suppress(JsonError):
        dumps(parse_lenient(data))


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ('{"a": 1,\n "b": }', 2, 7, "Expecting value"),
        ('{"a": 1, "b": {"c": 1,\n  "c": 2}}', 2, 3, 'duplicate key "c"'),
        ("[[[1,\n [2]]]]", 2, 2, "nested more than 3 levels deep"),
        ('["ok",\n "\\ud800x"]', 2, 3, "half a surrogate pair"),
        ('"\\\\ud800', 1, 1, "Unterminated string"),
        ("[1] 2", 1, 5, "Extra data"),
    ],
)
def test_a_fault_is_named_with_its_line_and_column(text, line, column, message):
    with pytest.raises(JsonError, match=f"^a.json: {message}") as caught:
        parse(text, where="a.json", max_depth=3)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_an_escaped_key_counts_as_the_text_it_means():
    with pytest.raises(JsonError, match=r'duplicate key "a" \(line 1, column 9\)'):
        parse('{"a": 1,"\\u0061": 2}')


def test_brackets_inside_texts_do_not_nest():
    assert parse('["[[[[\\"[[[", "{{{{"]', max_depth=1) == ['[[[["[[[', "{{{{"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 65 + "]" * 65])
def test_deep_nesting_is_refused_before_anything_recurses(text):
    with pytest.raises(JsonError, match="nested more than 64 levels deep"):
        parse(text)


def test_a_flat_document_of_any_length_is_not_deep():
    text = dumps({str(i): {"inputs": {"x": [str(i), 0]}} for i in range(10_000)})
    assert len(parse(text)) == 10_000


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999"])
def test_numbers_that_json_lacks_are_refused_or_leniently_null(text):
    with pytest.raises(JsonError):
        parse(text)
    assert parse_lenient(text) in (None, [None], {"a": None})


def test_a_whole_number_too_long_for_python_is_refused():
    with pytest.raises(JsonError, match="digits"):
        parse("9" * 5000)


def test_too_many_bytes_are_refused():
    with pytest.raises(JsonError, match="11 bytes of JSON are more than the limit of 10"):
        parse('"123456789"', max_bytes=10)


@pytest.mark.parametrize("data", [b"\xff\xfe{\x00}\x00", "\ud800"])
def test_what_is_not_utf8_is_refused(data):
    with pytest.raises(JsonError, match="not UTF-8"):
        parse(data)


def test_a_byte_order_mark_is_skipped():
    assert parse(b"\xef\xbb\xbf[1]") == [1]


def test_surrogate_pairs_are_characters():
    assert parse('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": object()}, b"x"])
def test_values_that_json_lacks_are_not_written(value):
    with pytest.raises(JsonError, match="cannot be written"):
        dumps(value)


def test_a_value_that_holds_itself_is_not_written():
    value: list[object] = []
    value.append(value)
    with pytest.raises(JsonError, match="cannot be written"):
        dumps(value)
