"""Weights as adapters change them, computed when they are wanted and put in a net's place for one use of it.

The net's own tensors are never written to. Where memory is planned, `Use.of` says what is done to each weight, and
whoever brings the weights to the device makes the changed ones there. Elsewhere, within `applied`, the module has other
parameters under the same names, and afterwards its own again, the very same objects; then changed weights are kept, the
most recently used ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakSet, WeakValueDictionary, finalize, ref

import torch
from torch import Tensor, nn

from engine.memory.changed import Changed
from engine.memory.precision import plain
from engine.models.adapters.adapter import Adapter, Stack, fitted, for_text, nothing_fits
from engine.models.adapters.building import tensors_of
from engine.models.adapters.changes import Change, placed
from engine.models.adapters.names import Tower
from engine.models.adapters.reading import AdapterFile
from engine.models.nets.denoising import DenoisingNet

Steps: TypeAlias = tuple[tuple[Change, float], ...]
"""What is done to one weight, in order. Changes are compared by identity."""

FileStack: TypeAlias = tuple[tuple[AdapterFile, float], ...]
"""Adapters that are yet to be fitted to a net, with their strengths."""

_PIECE = 2**20  # numbers: 4 MB in single precision, what the CPU's caches hold
_PIECE_ELSEWHERE = 2**24  # accelerators would rather have few large pieces


class ChangedWeights:
    """The changed weights of one net, by what is done to each; all who use the net with adapters may share it.

    So a weight is computed anew only if what is done to it has changed. At most `limit` bytes are kept (None: as much
    as the net has itself), besides those in use; weights go with the last of the adapters that made them. `tower` says
    which of a family's text towers the net is, if it is one.
    """

    def __init__(self, limit: int | None = None, tower: Tower = "only") -> None:
        self._limit = limit
        self._tower = tower
        self._kept: OrderedDict[tuple[str, Steps], tuple[Tensor, nn.Parameter]] = OrderedDict()
        self._fitted: WeakValueDictionary[tuple[object, ...], Adapter] = WeakValueDictionary()
        self._watched: WeakSet[Adapter] = WeakSet()
        self._held: list[Adapter] = []

    @property
    def nbytes(self) -> int:
        """Bytes of the changed weights that are kept now."""
        return sum(changed.nbytes for _, changed in self._kept.values())

    @property
    def tower(self) -> Tower:
        """Which of a family's text towers the net is."""
        return self._tower

    def clear(self) -> None:
        """Keep no changed weights, to make room; they are computed anew when they are wanted."""
        self._kept.clear()

    def anew(self) -> ChangedWeights:
        """One for the same net that holds nothing yet."""
        return ChangedWeights(self._limit, self._tower)

    def fit(self, file: AdapterFile, net: nn.Module) -> Adapter:
        """`file` fitted to `net`: the same adapter for the same file as long as somebody has it.

        Raises `AdapterError` for parts that do not fit their weights.
        """
        found = self._fitted.get(file.stamp)
        if found is None:
            self._fitted[file.stamp] = found = fitted(file, net, self._tower)
        return found

    def using(self, stack: Stack, files: FileStack = ()) -> Use | None:
        """What `stack`, and then `files`, do to the net, for whoever computes with it; None if there is nothing."""
        return Use(self, stack, files) if stack or files else None

    def wanted(self, net: nn.Module, stack: Stack, files: FileStack = ()) -> dict[str, Steps]:
        """What is done to each weight of `net`. Raises `AdapterError` if one of `files` does not fit it."""
        whole = (*stack, *((self._hooked(file, net), strength) for file, strength in files if strength != 0))
        for adapter, _ in whole:
            self._watch(adapter)
        return steps_of(whole)

    @contextmanager
    def applied(self, net: nn.Module, stack: Stack, files: FileStack = ()) -> Iterator[None]:
        """Within the block `net` has the weights that `stack`, and then `files`, make of its own.

        The net must be leased. Raises `AdapterError` if one of `files` does not fit it.
        """
        wanted = self.wanted(net, stack, files)
        if not wanted:
            yield
            return
        places = {name: _place(net, name) for name in wanted}
        own = {name: parameters[leaf] for name, (parameters, leaf) in places.items()}
        changed = {name: self._changed(name, weight, wanted[name]) for name, weight in own.items()}
        self._shrink(net, wanted)
        try:
            for name, (parameters, leaf) in places.items():
                parameters[leaf] = changed[name]
            yield
        finally:
            for name, (parameters, leaf) in places.items():
                parameters[leaf] = own[name]

    def _hooked(self, file: AdapterFile, net: nn.Module) -> Adapter:
        """An adapter that nobody else has: it is held here."""
        adapter = self.fit(file, net)
        if isinstance(net, DenoisingNet) and not adapter.changes and not any(for_text(stem) for stem in file.entries):
            raise nothing_fits(file)
        if adapter not in self._held:
            self._held.append(adapter)
        return adapter

    def _watch(self, adapter: Adapter) -> None:
        if adapter not in self._watched:
            self._watched.add(adapter)
            changes = frozenset(id(change) for own in adapter.changes.values() for change in own)
            finalize(adapter, _forget, ref(self), changes).atexit = False

    def forget(self, changes: frozenset[int]) -> None:
        """Let go of the weights that one of `changes`, by identity, has a part in."""
        for key in [key for key in self._kept if any(id(change) in changes for change, _ in key[1])]:
            del self._kept[key]

    def _changed(self, name: str, weight: nn.Parameter, steps: Steps) -> nn.Parameter:
        kept = self._kept.get((name, steps))
        if kept is None or kept[0] is not weight or kept[1].device != weight.device:
            changed = nn.Parameter(changed_weight(weight, steps), requires_grad=False)
            self._kept[name, steps] = kept = (weight, changed)
        self._kept.move_to_end((name, steps))
        return kept[1]

    def _shrink(self, net: nn.Module, wanted: dict[str, Steps]) -> None:
        if len(self._kept) == len(wanted):
            return
        limit = sum(weight.nbytes for weight in net.parameters()) if self._limit is None else self._limit
        total = self.nbytes
        for name, steps in [(name, steps) for name, steps in self._kept if wanted.get(name) != steps]:
            if total <= limit:
                break
            total -= self._kept.pop((name, steps))[1].nbytes


@dataclass(frozen=True, slots=True)
class Use:
    """Adapters in use: the `Changes` of the memory floor."""

    kept: ChangedWeights
    stack: Stack
    files: FileStack

    def of(self, net: nn.Module) -> Changed:
        """What is done to each weight. Raises `AdapterError` for what does not fit."""
        wanted = self.kept.wanted(net, self.stack, self.files)
        return {name: ChangedWeight(steps) for name, steps in wanted.items()}

    def applied(self, net: nn.Module) -> AbstractContextManager[None]:
        """See `ChangedWeights`."""
        return self.kept.applied(net, self.stack, self.files)


@dataclass(frozen=True, slots=True)
class ChangedWeight:
    """What is done to one weight, which is equal to another if the same changes have the same strengths."""

    steps: Steps

    @property
    def form(self) -> object:
        """The kinds and shapes of the changes."""
        return tuple((type(change), tuple((t.shape, t.dtype) for t in tensors_of(change))) for change, _ in self.steps)

    def made(self, weight: Tensor, upload: Callable[[Tensor], Tensor]) -> Tensor:
        """The changed weight, where `weight` is."""
        return changed_weight(weight, tuple((placed(change, upload), strength) for change, strength in self.steps))


def _forget(kept: ref[ChangedWeights], changes: frozenset[int]) -> None:
    changed = kept()
    if changed is not None:
        changed.forget(changes)


def _place(net: nn.Module, name: str) -> tuple[dict[str, nn.Parameter], str]:
    """Where a module has a parameter: written to directly, as going through the module costs ten times as much."""
    path, _, leaf = name.rpartition(".")
    parameters: dict[str, nn.Parameter] = net.get_submodule(path)._parameters  # type: ignore[assignment]
    return parameters, leaf


def changed_weight(weight: Tensor, steps: Steps) -> Tensor:
    """A weight after `steps`, computed in single precision at the least and rounded once, to the weight's own type.

    Types of 8 bits are too coarse for what adapters add: such weights become half precision. As far as the changes
    allow, it is computed in pieces.
    """
    own = plain(weight).detach()
    most = _PIECE if own.device.type in ("cpu", "meta") else _PIECE_ELSEWHERE
    rows = max(1, most // max(1, own[0].numel())) if own.ndim > 1 else len(own)
    pieces = [slice(start, start + rows) for start in range(0, len(own), rows)]
    if len(pieces) < 2 or any(change.of_rows(pieces[0]) is None for change, _ in steps):
        return _after(own, steps)
    result = torch.empty_like(own, dtype=_kept_in(own.dtype))
    for piece in pieces:
        parts = ((change.of_rows(piece), strength) for change, strength in steps)
        result[piece] = _after(own[piece], tuple((part, strength) for part, strength in parts if part is not None))
    return result


def _after(weight: Tensor, steps: Steps) -> Tensor:
    wide = weight if weight.dtype.itemsize > 4 else weight.float()
    for change, strength in steps:
        wide = change.applied(wide, strength)
    return wide.to(_kept_in(weight.dtype))


def _kept_in(dtype: torch.dtype) -> torch.dtype:
    return torch.float16 if dtype.itemsize == 1 else dtype


def steps_of(stack: Stack) -> dict[str, Steps]:
    """What is done to each weight. A strength of 0 is no change at all, whatever the format."""
    steps: dict[str, Steps] = {}
    for adapter, strength in stack:
        if strength != 0:
            for name, changes in adapter.changes.items():
                steps[name] = (*steps.get(name, ()), *((change, strength) for change in changes))
    return steps
