"""Numbers from outside: finite and within their range, or an error that names them."""

from __future__ import annotations

import math
from typing import ClassVar

from engine.foundation.errors import EaselError


class BoundsError(EaselError):
    """A number that is none, or lies outside its range."""

    code: ClassVar[str] = "out_of_bounds"


def within(name: str, value: float, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise `BoundsError` unless `value` is finite and in `low..high`, both inclusive."""
    if math.isfinite(value) and low <= value <= high:
        return
    if math.isinf(low) and math.isinf(high):
        expected = "a finite number"
    else:
        expected = f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
    raise BoundsError("this number cannot be used", where=f"input {name}", expected=expected, got=f"{value:g}")
