"""Weights with a place: a net that is put on its device for as long as it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch
from torch import nn

from engine.memory.casting import compute_in, computes_in
from engine.memory.gradients import computing
from engine.memory.room import ALL, ROOM, Given, Room, Tenant, Work

Net = TypeVar("Net", bound=nn.Module)
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

    def run(self, work: Callable[[], Work], compute: Callable[[Net, Given], T]) -> T:
        """What `compute` makes with the net on the device, within what it is given; see `Room.run` and `lease`.

        What `work` says is only asked for where there is a room.
        """
        room = self._room()
        if room is not None:
            return room.run(self._tenancy(room), self._net, work(), compute)
        with self.lease() as net:
            return compute(net, ALL)

    def _room(self) -> Room | None:
        room = ROOM.get()
        if room is None or room.device.place != self.device or not room.device.can.own_memory:
            return None
        return room

    def _tenancy(self, room: Room) -> Tenant:
        if self._tenant is None or self._tenant.room is not room:
            if self._tenant is not None:
                self._tenant.leave()
            self._tenant = Tenant(type(self._net).__name__, self._net, room)
        return self._tenant
