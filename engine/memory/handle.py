"""Weights with a place: a net that is put on its device for as long as it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from typing import Generic, TypeVar

import torch
from torch import nn

from engine.memory.casting import compute_in, computes_in
from engine.memory.changed import Changes
from engine.memory.gradients import computing
from engine.memory.room import ROOM, Room
from engine.memory.tenant import Tenant
from engine.memory.work import ALL, Given, Work

Net = TypeVar("Net", bound=nn.Module, covariant=True)
T = TypeVar("T")


class ModelHandle(Generic[Net]):
    """A net and the device it computes on. The weights may rest elsewhere between leases.

    Where there is a room for the device, it says how much of the net may be there; else all of it goes there.
    """

    def __init__(self, net: Net, device: torch.device) -> None:
        self._net = net.eval().requires_grad_(False)
        self.device = device
        self._tenant: Tenant | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The type the net computes in; its weights may lie in narrower ones."""
        return computes_in(self._net)

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        return sum(weight.nbytes for weight in self._net.state_dict().values())

    def widen(self) -> None:
        """Compute in float32 from now on."""
        if self._tenant is not None:
            self._tenant.forget()
        compute_in(self._net, torch.float32)

    def weights(self) -> dict[str, nn.Parameter]:
        """Every parameter by its name, wherever it rests."""
        return dict(self._net.named_parameters())

    @contextmanager
    def look(self) -> Iterator[Net]:
        """The net as it rests, for those who do not compute with it."""
        yield self._net

    @contextmanager
    def lease(self) -> Iterator[Net]:
        """The net with its weights on the device, without gradients unless they are wanted (`gradients`)."""
        room = self._room()
        if room is not None:
            with room.leased(self._tenancy(room), self._net):
                yield self._net
            return
        self._net.to(self.device)
        with computing():
            yield self._net

    def run(self, work: Callable[[], Work], compute: Callable[[Net, Given], T], changes: Changes | None = None) -> T:
        """What `compute` makes with the net on the device, within what it is given; see `Room.run` and `lease`.

        What `work` says is only asked for where there is a room. The net has weights that are changed by `changes`.
        """
        room = self._room()
        if room is not None:
            return room.run(self._tenancy(room), self._net, work(), compute, changes)
        with self.lease() as net, nullcontext() if changes is None else changes.applied(net):
            return compute(net, ALL)

    def least(self, work: Work) -> int:
        """The bytes without which work on the net is not tried; 0 where memory is not planned."""
        room = self._room()
        return 0 if room is None else room.least(self._tenancy(room), self._net, work)

    def tenancy(self, room: Room) -> Tenant | None:
        """Its place in a room, if it has one."""
        return self._tenant if self._tenant is not None and self._tenant.ledger is room.ledger else None

    @property
    def planned(self) -> bool:
        """Whether memory is planned where it computes now, so that nobody else need look after that."""
        return self._room() is not None

    def _room(self) -> Room | None:
        room = ROOM.get()
        if room is None or room.device.place != self.device or not room.device.can.own_memory:
            return None
        return room

    def _tenancy(self, room: Room) -> Tenant:
        if self._tenant is None or self._tenant.ledger is not room.ledger:
            if self._tenant is not None:
                self._tenant.leave()
            self._tenant = room.tenant(self._net)
        return self._tenant


def tenants_in(values: Iterable[object], room: Room) -> Iterator[Tenant]:
    """Those who have a place in `room` of the nets that `values` consist of, in order, each once."""
    seen: set[int] = set()
    stack = list(values)[::-1]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, ModelHandle):
            found = value.tenancy(room)
            if found is not None:
                yield found
        elif isinstance(value, tuple | list):
            stack += value[::-1]
        elif is_dataclass(value):
            stack += [getattr(value, item.name) for item in reversed(fields(value))]
