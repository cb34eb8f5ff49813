"""How much of a net's work one call may do: the bytes that are free for what it computes on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from engine.tensors.rows import Rows

Net = TypeVar("Net", bound=nn.Module)
RowBytes: TypeAlias = Callable[[Net, Sequence[Tensor]], int]


@dataclass(frozen=True, slots=True)
class CallBudget:
    """Bytes that the activations of one call of a net may take up, and most rows it may have; None: without bounds.

    Rows are in groups of `together` that no call divides: they look at each other.
    """

    available: int | None = None
    most: int | None = None
    together: int = 1

    def rows(self, count: int, row_bytes: int) -> int:
        """Rows a call, so that `count` rows of `row_bytes` each take as few calls as there may be, about even ones.

        One group at the least: what is too large for the budget is no smaller in any other way.
        """
        group, groups = self.together, -(-count // self.together)
        most = max(1, groups if self.most is None else min(groups, self.most // group))
        if self.available is not None:
            most = max(1, min(most, self.available // max(1, group * row_bytes)))
        if groups <= most:
            return max(1, count)
        calls = -(-groups // most)
        return group * -(-groups // calls)

    def called(
        self, net: Net, inputs: Sequence[Tensor], row_bytes: RowBytes[Net], options: Mapping[str, Any]
    ) -> Tensor:
        """The answer of `net` to `inputs`, `(B, ...)` each, in as few calls as there may be.

        Options that are tensors have `B` rows too, `Rows` have an entry or several for each; others are for all.
        """
        count = len(inputs[0])
        rows = self.rows(count, 0 if self.available is None else row_bytes(net, inputs))
        answers: list[Tensor] = []
        for start in range(0, count, rows):
            part = slice(start, start + rows)
            of_part = {name: _cut(value, part, count) for name, value in options.items()}
            answers.append(net(*(tensor[part] for tensor in inputs), **of_part))
        return answers[0] if len(answers) == 1 else torch.cat(answers)


def _cut(value: Any, part: slice, count: int) -> Any:
    if isinstance(value, Rows):
        each = len(value) // count
        return Rows(value[part.start * each : part.stop * each])
    return value[part] if isinstance(value, Tensor) else value


UNLIMITED = CallBudget()
