"""What a node that works in steps asks of whoever drives it.

A node function may be a generator: it yields `Request`s and is sent back each answer; its return value is the node's
result. The executor computes the requests (alone, or batched with those of other jobs), so progress, previews and
cancellation need no callback inside the node.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeVar

from torch import Tensor

from engine.tensors.values import LatentPreview

T = TypeVar("T")


class Request(Protocol):
    """One evaluation of a net. `step` of `total` is shown as progress (`step` counts from 0)."""

    @property
    def step(self) -> int: ...

    @property
    def total(self) -> int: ...

    def compute(self) -> Tensor:
        """The answer, computed alone."""
        ...

    def preview(self) -> LatentPreview | None:
        """The latest denoised estimate if one exists, for a preview picture."""
        ...


Sampling = Generator[Request, Tensor, T]
