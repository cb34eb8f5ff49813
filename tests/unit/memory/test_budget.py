"""Rows a call: never more than fit, in as few and as even calls as that allows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.memory.budget import UNLIMITED, CallBudget

COUNTS = st.integers(1, 200)


@given(COUNTS, st.integers(0, 10**12))
def test_without_bounds_all_rows_go_in_one_call(count: int, row_bytes: int) -> None:
    assert UNLIMITED.rows(count, row_bytes) == count


@given(COUNTS, st.integers(1, 1000), st.integers(0, 10_000))
def test_calls_are_as_few_as_the_budget_allows_and_within_it(count: int, row_bytes: int, available: int) -> None:
    rows = CallBudget(available).rows(count, row_bytes)
    fitting = max(1, available // row_bytes)
    assert 1 <= rows <= min(count, fitting)
    assert -(-count // rows) == -(-count // fitting)


def test_calls_are_about_even() -> None:
    assert CallBudget(50).rows(6, 10) == 3


def test_a_row_beyond_the_budget_goes_alone() -> None:
    assert CallBudget(5).rows(3, 10) == 1
    assert CallBudget(0).rows(3, 0) == 1
