"""A net among others on a device: what it reserved there, how it is placed, and what is known of it."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import count
from weakref import finalize, ref

from torch import nn

from engine.memory.casting import keep_nothing
from engine.memory.changed import UNCHANGED, Changed
from engine.memory.device import Device
from engine.memory.estimate import Trace
from engine.memory.groups import Layout, layout
from engine.memory.ledger import Ledger, Reservation, Use
from engine.memory.residency import Residency
from engine.memory.transfer import Pinned


@dataclass(frozen=True, slots=True)
class Placing:
    """How a net's weights are placed: which groups stay, how many bytes that takes, and in how many slots others pass.

    Without `hooks` everything is there and stays there, and nothing has to be done during a call.
    """

    layout: Layout
    resident: tuple[bool, ...]
    slots: int
    nbytes: int
    hooks: bool

    def same(self, other: Placing | None) -> bool:
        """Whether another one is no different."""
        if other is None or (self.hooks, self.nbytes) != (other.hooks, other.nbytes):
            return False
        return not self.hooks or (self.layout is other.layout and self.resident == other.resident)


class Tenant:
    """One net on a device: what it reserved, and how it is placed."""

    _numbers = count()

    def __init__(self, net: nn.Module, device: Device, ledger: Ledger, pinned: Pinned | None) -> None:
        self.name = type(net).__name__
        self.number = next(self._numbers)
        self.ledger = ledger
        self.residency = Residency(net, device, pinned)
        keep_nothing(net)
        self.placing: Placing | None = None
        self.changed: Changed = UNCHANGED
        self.traces: dict[Hashable, Trace | None] = {}
        self.seconds: dict[Hashable, float] = {}
        """Of a row of each work, once it was measured with all weights there."""
        self.beside: dict[Hashable, int] = {}
        """Bytes that other nets take which are asked for during each work, once it was found out."""
        self._layouts: dict[Hashable, Layout] = {}
        self._held: list[Reservation] = []
        finalize(self, _release, self._held)

    @property
    def reserved(self) -> Reservation | None:
        """Its bytes for weights and staging, if it still has them."""
        return next((entry for entry in self._held if entry.open), None)

    @property
    def active(self) -> bool:
        """Whether somebody computes with it now."""
        return self.reserved is not None and self.reserved.leased

    def place(self, placing: Placing) -> Reservation:
        """Reserve the bytes for a placing, for which others may have to go, and drop what an earlier one had."""
        found = self.reserved
        if found is not None and placing.same(self.placing):
            return found
        if self.placing is not None and (not placing.hooks or placing.layout is not self.placing.layout):
            self.residency.leave()
        _release(self._held)
        self._held.clear()
        there = ref(self)
        entry = self.ledger.reserve(self.name, Use.WEIGHTS, placing.nbytes, lambda: _leave(there))
        self._held.append(entry)
        self.placing = placing
        return entry

    def settled(self, placing: Placing, changed: Changed) -> AbstractContextManager[None]:
        """A block within which the net has its weights as placed and `changed`."""
        self.changed = changed
        if placing.hooks:
            return self.residency.streamed(placing.layout, placing.resident, placing.slots, changed)
        self.residency.bring(changed=changed)
        return nullcontext()

    def leave(self) -> None:
        """Give all bytes back and have nothing on the device."""
        self.residency.leave()
        _release(self._held)
        self._held.clear()
        self.placing = None

    def forget(self) -> None:
        """Leave, and know nothing of the net any more: its weights are about to become others."""
        self.leave()
        self.traces.clear()
        self.seconds.clear()
        self._layouts.clear()

    def cut(self, net: nn.Module, key: Hashable, trace: Trace | None, bounds: tuple[int, int]) -> Layout:
        """The layout for work, the same object every time."""
        if key not in self._layouts:
            self._layouts[key] = layout(net, trace, bounds)
        return self._layouts[key]


def _release(held: list[Reservation]) -> None:
    for entry in held:
        entry.release()


def _leave(there: ref[Tenant]) -> None:
    tenant = there()
    if tenant is not None:
        tenant.leave()
