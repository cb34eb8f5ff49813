"""The rows of one call of a net: which sample, which part of the picture, and for which side each is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Row:
    """One row: number `sample` of the batch, on a part of a `canvas` (height, width) whose corner is at `top`, `left`.

    All in cells of the latent. `negative` rows are about what not to paint. ControlNets read the tokens `told` `(T, D)`
    instead of those that the net reads, if there are any.
    """

    sample: int
    canvas: tuple[int, int]
    top: int = 0
    left: int = 0
    negative: bool = False
    told: Tensor | None = field(default=None, compare=False, repr=False)


class Rows(tuple[Row, ...]):
    """One entry for each row of a call: where the call is split, they are split with it."""

    __slots__ = ()

    @property
    def samples(self) -> int:
        """How many samples the batch has that the rows are about."""
        return 1 + max(row.sample for row in self)

    @classmethod
    def whole(cls, count: int, canvas: tuple[int, int]) -> Rows:
        """`count` samples on the whole canvas, all to be painted."""
        return cls(Row(sample, canvas) for sample in range(count))
