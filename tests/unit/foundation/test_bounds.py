"""Numbers from outside are named in the error when they are out of bounds."""

from __future__ import annotations

import math

import pytest

from engine.foundation.bounds import BoundsError, within


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_both_bounds_are_inside(value: float) -> None:
    within("share", value, 0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (1.1, 0.0, 1.0, "input share: .*expected 0 to 1, got 1.1"),
        (-1.0, 0.0, math.inf, "expected at least 0, got -1"),
        (math.nan, 0.0, 1.0, "got nan"),
        (math.inf, 0.0, math.inf, "got inf"),
        (math.nan, -math.inf, math.inf, "expected a finite number, got nan"),
    ],
)
def test_anything_else_is_told_with_what_was_expected(value: float, low: float, high: float, words: str) -> None:
    with pytest.raises(BoundsError, match=words):
        within("share", value, low, high)
