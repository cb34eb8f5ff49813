"""What authors annotate a node's parameters with: sockets, widgets, laziness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, TypeVar

T = TypeVar("T")

MAX_SEED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Socket:
    """The socket type of a value whose class does not say it: `Annotated[Tensor, Socket("SIGMAS")]`."""

    type: str


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, both inclusive, and the step of its field; `round` as in `FloatWidget`."""

    min: float
    max: float
    step: float = 1
    round: float | Literal[False] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A text that is one of `options`."""

    options: tuple[str, ...]

    def __init__(self, *options: str) -> None:
        object.__setattr__(self, "options", options)


@dataclass(frozen=True, slots=True)
class Files:
    """A text that names a file of a folder kind (`checkpoints`, `input`, ...) or one of `options`."""

    kind: str
    options: tuple[str, ...] = ()
    upload: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text field: of several lines, and with `{a|b}` expanded by the editor."""

    multiline: bool = False
    dynamic_prompts: bool = False


@dataclass(frozen=True, slots=True)
class AfterRun:
    """The editor offers to change this number after each run (fixed, increment, decrement, randomize)."""


@dataclass(frozen=True, slots=True)
class Tooltip:
    """A line of help for one input."""

    text: str


@dataclass(frozen=True, slots=True)
class Omittable:
    """A widget that a prompt may leave out: the parameter's default counts then."""


@dataclass(frozen=True, slots=True)
class Grow:
    """On a `list[T]`: inputs `prefix0`, `prefix1`, ... of which `min` must and `max` may be given, instead of one."""

    prefix: str
    min: int = 1
    max: int = 10


@dataclass(frozen=True, slots=True)
class Variants:
    """On a union of frozen dataclasses: a choice between them, which brings the fields of the chosen one as inputs.

    Each class names itself in a class variable `key`.
    """


@dataclass(frozen=True, slots=True)
class Match:
    """Inputs and outputs of a node with the same `id` have the same type at run time, one of `types` (default: any)."""

    id: str
    types: str = "*"


class _LazyMark:
    pass


LAZY = _LazyMark()

Lazy: TypeAlias = Annotated[T | None, LAZY]
"""An input that is evaluated only if the node's demand function asks for it; None until then."""

Seed: TypeAlias = Annotated[int, Range(0, MAX_SEED), AfterRun()]
Steps: TypeAlias = Annotated[int, Range(1, 10_000)]
Cfg: TypeAlias = Annotated[float, Range(0.0, 100.0, step=0.1, round=0.01)]
Fraction: TypeAlias = Annotated[float, Range(0.0, 1.0, step=0.01)]


@dataclass(frozen=True, slots=True)
class Blocked:
    """A value that stops its branch: nodes that would take it do not run. `message` is shown to the user once."""

    message: str | None = None
