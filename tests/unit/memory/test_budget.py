"""Rows a call: never more than fit, in as few and as even calls as that allows."""

from __future__ import annotations

import torch
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


class Adding(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def forward(self, x: torch.Tensor, y: torch.Tensor, *, scale: torch.Tensor, times: float) -> torch.Tensor:
        self.rows.append(len(x))
        return times * (x + y * scale)


def test_inputs_and_options_are_cut_alike() -> None:
    net, x, y = Adding(), torch.arange(5.0), torch.arange(5.0) ** 2
    options = {"scale": torch.arange(5.0) + 1, "times": 3.0}
    got = CallBudget(20).called(net, (x, y), lambda _net, inputs: 10 * len(inputs), options)
    assert net.rows == [1] * 5
    assert torch.equal(got, 3 * (x + y * options["scale"]))
    assert torch.equal(UNLIMITED.called(net, (x, y), lambda *_: 1 // 0, options), got)
    assert net.rows[5:] == [5]


def test_a_row_beyond_the_budget_goes_alone() -> None:
    assert CallBudget(5).rows(3, 10) == 1
    assert CallBudget(0).rows(3, 0) == 1
