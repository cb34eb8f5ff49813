"""What is to be done with a net, as those who plan for it must know it, and what they give it to do it with."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from torch import Tensor

from engine.memory.budget import CallBudget

UNKNOWN_BYTES = 64 * 2**20  # of activations, of work that cannot be traced


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with a net, for the planner.

    `compute(net, *inputs)` does it for one row, or for one tile of `tiles` (side, how many times the work, inputs);
    both are only traced. None is work that nobody knows; it takes `nbytes` of activations, as does what cannot be
    traced. `row_bytes` of each row come on top of a trace. `key` tells it from other work on the net, sizes included.
    `once` says that the net is not needed again soon, `repeats` how often the work is about to be done in a row.
    `asks` tells the least bytes of each work that other nets are asked for meanwhile.
    """

    key: Hashable = None
    compute: Callable[..., object] | None = None
    inputs: tuple[object, ...] = ()
    rows: int = 1
    tiles: tuple[tuple[int, float, tuple[object, ...]], ...] = ()
    nbytes: int = UNKNOWN_BYTES
    once: bool = False
    row_bytes: int = 0
    repeats: int = 1
    asks: Callable[[], Iterable[int]] = tuple


@dataclass(frozen=True, slots=True)
class Given:
    """What work may use: most rows a call, and the side of tiles; None for all rows and whole pictures."""

    rows: int | None = None
    tile: int | None = None

    def within(self, budget: CallBudget) -> CallBudget:
        """`budget` with these rows a call at the most."""
        return budget if self.rows is None else replace(budget, most=self.rows)


ALL = Given()


def in_one_piece(name: str, compute: Callable[..., object], *inputs: Tensor, once: bool = False) -> Work:
    """Work that is always done for all of its `inputs` at once."""
    shapes = tuple((tuple(tensor.shape), tensor.dtype) for tensor in inputs)
    return Work((name, shapes), compute, inputs, once=once)
