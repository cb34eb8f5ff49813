"""An error reads as one line: place, message, what was expected and got, remedy."""

from __future__ import annotations

from engine.foundation.errors import EaselError


def test_all_parts_make_one_line():
    error = EaselError("bad steps", where="KSampler 5", expected="1 to 10000", got="0", hint="Use 20.")
    assert str(error) == "KSampler 5: bad steps: expected 1 to 10000, got 0. Use 20."


def test_parts_that_are_not_given_leave_no_trace():
    assert str(EaselError("no space left", where="output/a.png")) == "output/a.png: no space left"
