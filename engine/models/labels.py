"""Names of classes: which number of a class-conditional net's table a name stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import ClassVar

from engine.foundation.errors import EaselError

NO_CLASS = "none"
_SUGGESTED = 3


class LabelError(EaselError):
    """A class that a net does not know."""

    code: ClassVar[str] = "unknown_class"


@lru_cache(maxsize=1)
def imagenet_names() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes by number, several of one class apart by commas."""
    return tuple(files("engine.models").joinpath("data/imagenet_classes.txt").read_text("utf-8").splitlines())


def ordered(names: Mapping[str, str]) -> tuple[str, ...]:
    """The names in `names`, whose keys are numbers of classes, by number; classes without one have none."""
    numbers = {int(number): name for number, name in names.items() if number.isdecimal()}
    return tuple(numbers.get(number, "") for number in range(max(numbers, default=-1) + 1))


def class_number(label: str, names: Sequence[str]) -> int | None:
    """The number of a class by its number or one of its `names`, in any case; None for `NO_CLASS`.

    A name that several classes have is the first one's. Raises `LabelError`, which suggests names.
    """
    label = label.strip()
    if label.isdecimal():
        return int(label)
    wanted = label.casefold()
    if wanted == NO_CLASS:
        return None
    numbers: dict[str, int] = {}
    for number, line in enumerate(names):
        for name in (line, *line.split(",")):
            numbers.setdefault(name.strip().casefold(), number)
    if wanted in numbers:
        return numbers[wanted]
    near = get_close_matches(wanted, numbers, n=_SUGGESTED, cutoff=0.5)
    near += [name for name in numbers if wanted and wanted in name and name not in near][: _SUGGESTED - len(near)]
    raise LabelError(
        "there is no such class",
        where="input label",
        got=label or "nothing",
        expected=f'the name of a class, its number, or "{NO_CLASS}"',
        hint=f"Is it one of {', '.join(near)}?" if near else "",
    )
