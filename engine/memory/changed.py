"""Weights that are others than a net's own for one use of it: what is done to each, wherever it is then computed.

A net's own weights are never written to. Where a net rests on the host and computes elsewhere, what is done to a weight
is done right after its copy arrived there, so that the device never holds both.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn

from engine.memory.counting import LiveBytes

Upload: TypeAlias = Callable[[Tensor], Tensor]


class WeightChange(Protocol):
    """What is done to one weight. Equal ones make the same of the same weight."""

    @property
    def form(self) -> Hashable:
        """Equal for changes that take the same memory for weights of one shape and type."""
        ...

    def made(self, weight: Tensor, upload: Upload) -> Tensor:
        """The changed weight, a new tensor where `weight` is; what else it takes comes there by `upload`."""
        ...


Changed: TypeAlias = Mapping[str, WeightChange]
"""What is done to the weights of a net, by the names of its parameters."""

UNCHANGED: Changed = {}


class Changes(Protocol):
    """What is done to the weights of a net for one use of it."""

    def of(self, net: nn.Module) -> Changed:
        """What is done to each weight. Raises for what does not fit the net."""
        ...

    def applied(self, net: nn.Module) -> AbstractContextManager[None]:
        """A block within which `net`, whose weights are where it computes, has the changed ones."""
        ...


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of a changed weight, and the most besides a resident one while it is made."""

    nbytes: int
    extra: int


class Sizes:
    """How much memory changed weights take, each kind traced once without memory."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Size] = {}

    def of(self, weight: Tensor, change: WeightChange) -> Size:
        """Those of `weight` after `change`."""
        key = (weight.shape, weight.dtype, change.form)
        if key not in self._known:
            self._known[key] = _size(weight, change)
        return self._known[key]


def _size(weight: Tensor, change: WeightChange) -> Size:
    own = torch.empty(weight.shape, dtype=weight.dtype, device="meta")
    with torch.inference_mode(), LiveBytes() as counted:
        made = change.made(own, _without_memory)
    # streamed, what is made is on top of the window that has the weight; resident, the weight is there on top
    return Size(made.nbytes, max(counted.peak, counted.peak + own.nbytes - made.nbytes))


def _without_memory(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
