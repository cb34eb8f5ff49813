"""Series of values, every pair of two series, and the pictures made with them in a grid."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from engine.foundation.errors import EaselError
from engine.node import Match, Range, Text, node
from engine.tensors.grids import gathered, grid
from engine.tensors.values import Image
from nodes.show import as_text

CATEGORY = "utils/grid"
MOST = 1000

Long = Annotated[str, Text(multiline=True)]
X = Annotated[Any, Match("x")]
Y = Annotated[Any, Match("y")]


class SeriesError(EaselError):
    """A series that has nothing in it, or something that is no number."""

    code: ClassVar[str] = "bad_series"


@node("EaselNumbers", category=CATEGORY, display_name="Numbers", outputs=["numbers", "whole numbers"])
def numbers(values: str = "1, 2, 3") -> tuple[list[float], list[int]]:
    """Numbers with commas between them: what takes them runs once for each. Also rounded, for steps and seeds."""
    found = [word for word in re.split(r"[\s,;]+", values) if word]
    try:
        series = [float(word) for word in found]
        rounded = [round(value) for value in series]
    except (ValueError, OverflowError) as error:
        raise SeriesError(
            "these are no numbers", where="input values", expected="numbers with commas between them", got=values
        ) from error
    _check(series, "values")
    return series, rounded


@node("EaselTexts", category=CATEGORY, display_name="Texts", outputs=["texts"])
def texts(lines: Long = "") -> list[str]:
    """Each line that is not blank as a text of its own: what takes them runs once for each."""
    series = [line.strip() for line in lines.splitlines() if line.strip()]
    _check(series, "lines")
    return series


@node("EaselPairs", category=CATEGORY, display_name="Every Pair", outputs=["x", "y"])
def pairs(x: list[X], y: list[Y]) -> tuple[list[X], list[Y]]:
    """Two series in which each value of the one meets each of the other, as the cells of a grid: row by row of y."""
    if len(x) * len(y) > MOST:
        raise SeriesError(
            "this grid is too large", where="inputs x and y", expected=f"at most {MOST} cells", got=str(len(x) * len(y))
        )
    return [value for _ in y for value in x], [value for value in y for _ in x]


@node("EaselGrid", category=CATEGORY, display_name="Picture Grid")
def picture_grid(
    images: list[Image],
    x_name: str = "",
    y_name: str = "",
    gap: Annotated[int, Range(0, 256)] = 8,
    x: list[Any] | None = None,
    y: list[Any] | None = None,
) -> Image:
    """All pictures on one sheet, a column for each value of x and a row for each of y, with labels.

    The others are brought to the size of the first. Without x there is a row as near to a square as they fit.
    """
    pictures = gathered(images)
    columns = _labels(x_name, x) if x is not None else [""] * _side(len(pictures), None if y is None else len(y))
    return grid(pictures, columns, _labels(y_name, y or []), gap)


def _labels(name: str, values: list[Any]) -> list[str]:
    return [f"{name} {_label(value)}".strip() for value in values]


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else as_text(value)


def _side(count: int, rows: int | None) -> int:
    """How many columns `count` pictures have in so many rows, or in a square."""
    if rows:
        return -(-count // rows)
    return next(side for side in range(1, count + 1) if side * side >= count)


def _check(series: list[Any], name: str) -> None:
    if not 1 <= len(series) <= MOST:
        raise SeriesError(
            "this series cannot be used", where=f"input {name}", expected=f"1 to {MOST} values", got=str(len(series))
        )
