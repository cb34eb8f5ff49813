"""Content keys: equal for equal work, different for any other, never for what must not be reused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graph.keys import node_key

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def distinct(value):
    """A form that is equal exactly if the values and all types in them are equal."""
    if isinstance(value, dict):
        return ("dict", frozenset((key, distinct(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(distinct, value)))
    return (type(value), repr(value))


@given(values, values)
def test_constants_have_one_key_exactly_if_they_are_the_same(one, other):
    keys = [node_key("N", 1, {"x": value}, {}) for value in (one, other)]
    assert (keys[0] == keys[1]) == (distinct(one) == distinct(other))


@given(values, values)
def test_fingerprints_have_one_key_exactly_if_they_are_the_same(one, other):
    keys = [node_key("N", 1, {}, {}, [value]) for value in (one, other)]
    assert (keys[0] == keys[1]) == (distinct(one) == distinct(other))


@given(st.dictionaries(st.text(), values, min_size=1, max_size=4), st.randoms())
def test_the_order_of_inputs_does_not_count(constants, random):
    names = list(constants)
    random.shuffle(names)
    assert node_key("N", 1, constants, {}) == node_key("N", 1, {name: constants[name] for name in names}, {})


def test_numbers_switches_and_texts_that_compare_equal_or_look_alike_differ():
    alike = [1, 1.0, True, "1", "True", None, "None", 0.0, -0.0, b"1", [1], (1,), "[1]", ["1"], {"1": 1}]
    assert len({node_key("N", 1, {"x": value}, {}) for value in alike}) == len(alike)


def test_every_part_of_a_node_counts():
    source, other = node_key("S", 1, {}, {}), node_key("T", 1, {}, {})
    keys = {
        node_key("N", 1, {"a": 1}, {"x": (source, 0)}),
        node_key("M", 1, {"a": 1}, {"x": (source, 0)}),
        node_key("N", 2, {"a": 1}, {"x": (source, 0)}),
        node_key("N", 1, {"b": 1}, {"x": (source, 0)}),
        node_key("N", 1, {"a": 1}, {"y": (source, 0)}),
        node_key("N", 1, {"a": 1}, {"x": (source, 1)}),
        node_key("N", 1, {"a": 1}, {"x": (other, 0)}),
        node_key("N", 1, {"a": 1}, {"x": (source, 0)}, [None]),
        node_key("N", 1, {"a": 1}, {"x": (source, 0)}, [None, None]),
    }
    assert len(keys) == 9


@pytest.mark.parametrize("fingerprint", [math.nan, ["a", math.nan], {"k": (math.nan,)}])
def test_a_nan_in_a_fingerprint_is_never_reused(fingerprint):
    assert node_key("N", 1, {}, {}, [fingerprint]) != node_key("N", 1, {}, {}, [fingerprint])


def test_the_text_nan_is_an_ordinary_fingerprint():
    assert node_key("N", 1, {}, {}, ["nan"]) == node_key("N", 1, {}, {}, ["nan"])


def test_an_object_in_memory_is_never_reused():
    thing = object()
    assert node_key("N", 1, {"x": thing}, {}) != node_key("N", 1, {"x": thing}, {})


def test_a_value_nested_ten_thousand_deep_has_a_key():
    value = []
    for _ in range(10_000):
        value = [value]
    assert node_key("N", 1, {"x": value}, {}) == node_key("N", 1, {"x": value}, {})


def test_keys_stay_the_same_from_version_to_version():
    assert node_key("KSampler", 1, {"seed": 5, "name": "é"}, {}) == "428c87bde333b59b74554638da8869234036be33"
