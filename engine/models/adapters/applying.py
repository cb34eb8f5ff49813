"""Weights as adapters change them, computed when they are wanted and put in a net's place for one use of it.

The net's own tensors are never written to: within `applied` the module has other parameters under the same names, and
afterwards it has its own again, the very same objects. Changed weights are kept, the most recently used ones, for as
long as whoever holds the `ChangedWeights` does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn

from engine.models.adapters.adapter import Adapter, Stack, fitted, for_text, nothing_fits
from engine.models.adapters.changes import Change
from engine.models.adapters.reading import AdapterFile
from engine.models.nets.unet import UNet

Steps: TypeAlias = tuple[tuple[Change, float], ...]
"""What is done to one weight, in order. Changes are compared by identity."""

FileStack: TypeAlias = tuple[tuple[AdapterFile, float], ...]
"""Adapters that are yet to be fitted to a net, with their strengths."""


_PIECE = 2**20  # numbers: 4 MB in single precision


class ChangedWeights:
    """The changed weights of one net, by what is done to each.

    At most `limit` bytes are kept (None: as much as the net has itself), besides those in use.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[str, Steps], tuple[Tensor, Tensor]] = OrderedDict()
        self._fitted: dict[AdapterFile, Adapter] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the changed weights that are kept now."""
        return sum(changed.nbytes for _, changed in self._kept.values())

    @contextmanager
    def applied(self, net: nn.Module, stack: Stack, files: FileStack = ()) -> Iterator[None]:
        """Within the block `net` has the weights that `stack`, and then `files`, make of its own.

        The net must be leased. Raises `AdapterError` if one of `files` does not fit it.
        """
        wanted = _steps((*stack, *((self._fit(file, net), strength) for file, strength in files if strength != 0)))
        if not wanted:
            yield
            return
        own = {name: net.get_parameter(name) for name in wanted}
        changed = {name: self._changed(name, weight, wanted[name]) for name, weight in own.items()}
        self._shrink(net, {(name, wanted[name]) for name in wanted})
        try:
            for name, weight in changed.items():
                _put(net, name, nn.Parameter(weight, requires_grad=False))
            yield
        finally:
            for name, parameter in own.items():
                _put(net, name, parameter)

    def _fit(self, file: AdapterFile, net: nn.Module) -> Adapter:
        if file not in self._fitted:
            adapter = fitted(file, net)
            if isinstance(net, UNet) and not adapter.changes and not any(for_text(stem) for stem in file.entries):
                raise nothing_fits(file)
            self._fitted[file] = adapter
        return self._fitted[file]

    def _changed(self, name: str, weight: Tensor, steps: Steps) -> Tensor:
        kept = self._kept.get((name, steps))
        if kept is None or kept[0] is not weight or kept[1].device != weight.device:
            self._kept[name, steps] = kept = (weight, changed_weight(weight, steps))
        self._kept.move_to_end((name, steps))
        return kept[1]

    def _shrink(self, net: nn.Module, in_use: set[tuple[str, Steps]]) -> None:
        limit = sum(weight.nbytes for weight in net.parameters()) if self._limit is None else self._limit
        total = self.nbytes
        for key in [key for key in self._kept if key not in in_use]:
            if total <= limit:
                break
            total -= self._kept.pop(key)[1].nbytes


def changed_weight(weight: Tensor, steps: Steps) -> Tensor:
    """A weight after `steps`, computed in single precision at the least and rounded once, to the weight's own type.

    As far as the changes allow, it is computed in pieces that stay in the processor's cache.
    """
    own = weight.detach()
    rows = max(1, _PIECE // max(1, own[0].numel())) if own.ndim > 1 else len(own)
    pieces = [slice(start, start + rows) for start in range(0, len(own), rows)]
    if len(pieces) < 2 or any(change.of_rows(pieces[0]) is None for change, _ in steps):
        return _after(own, steps)
    result = torch.empty_like(own)
    for piece in pieces:
        parts = ((change.of_rows(piece), strength) for change, strength in steps)
        result[piece] = _after(own[piece], tuple((part, strength) for part, strength in parts if part is not None))
    return result


def _after(weight: Tensor, steps: Steps) -> Tensor:
    wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
    for change, strength in steps:
        wide = change.applied(wide, strength)
    return wide.to(weight.dtype)


def _steps(stack: Stack) -> dict[str, Steps]:
    """What is done to each weight. A strength of 0 is no change at all, whatever the format."""
    steps: dict[str, Steps] = {}
    for adapter, strength in stack:
        if strength != 0:
            for name, changes in adapter.changes.items():
                steps[name] = (*steps.get(name, ()), *((change, strength) for change in changes))
    return steps


def _put(net: nn.Module, name: str, parameter: nn.Parameter) -> None:
    module, _, leaf = name.rpartition(".")
    setattr(net.get_submodule(module), leaf, parameter)
