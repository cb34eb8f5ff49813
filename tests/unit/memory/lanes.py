"""A simulated device with a lane of copies that is as late as it may be, so that what does not wait is found out.

A copy is done when somebody waits for it and not before: whoever computes without having waited gets what was there
before, and whoever fills a stage too early has other bytes copied. That copies wait for computing is checked by time:
the lane of copies must have waited for a mark behind the last operation that touched the memory it writes to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock, current_thread

import numpy as np
import torch
from torch import Tensor

from engine.memory.device import Capabilities, SimulatedDevice
from engine.memory.simulated import Simulation


@dataclass(frozen=True)
class Computed:
    """A point in the lane of computing, whose work is done at once here."""

    time: int

    def synchronize(self) -> None:
        pass


@dataclass(frozen=True)
class Copied:
    """A point in the lane of copies."""

    lane: CopyLane
    place: int

    def synchronize(self) -> None:
        self.lane.waiting_threads.append(current_thread().name)
        self.lane.advance(self.place)


class CopyLane:
    """Copies that were told but are done only as far as somebody waits for them."""

    def __init__(self) -> None:
        self.seen = 0
        self.waiting_threads: list[str] = []
        self._told: list[Callable[[], object]] = []
        self._done = 0
        self._lock = Lock()

    def record_event(self) -> Copied:
        return Copied(self, len(self._told))

    def wait_event(self, event: Computed) -> None:
        self.seen = max(self.seen, event.time)

    def tell(self, work: Callable[[], object]) -> None:
        self._told.append(work)

    def advance(self, place: int) -> None:
        with self._lock:
            while self._done < place:
                self._told[self._done]()
                self._told[self._done] = _nothing
                self._done += 1


def _nothing() -> None:
    """What a copy is when it was done: it holds on to nothing."""


class ComputeLane:
    """Operations in order, with the time at which each piece of memory was last touched."""

    def __init__(self) -> None:
        self.time = 0
        self.products = 0
        self.touched: dict[int, int] = {}

    def record_event(self) -> Computed:
        return Computed(self.time)

    def wait_event(self, event: Copied) -> None:
        event.lane.advance(event.place)

    def touch(self, tensor: Tensor) -> None:
        self.time += 1
        self.touched[tensor.untyped_storage()._cdata] = self.time


class Touching(Simulation):
    """Tells the lane of computing what it touches."""

    def __init__(self, limit: int, lane: ComputeLane) -> None:
        super().__init__(limit)
        self._lane = lane

    def counts(self, func: object, inputs: Sequence[Tensor]) -> bool:
        device = super().counts(func, inputs)
        self._lane.products += func is torch.ops.aten.addmm.default
        if device and not getattr(func, "is_view", False):
            for tensor in inputs:
                self._lane.touch(tensor)
        return device


class LanedDevice(SimulatedDevice):
    """See above. `sent` are the sizes of the copies in the order in which they were told, and `at` after
    how many matrix products that was."""

    can = Capabilities(own_memory=True, streams=True, pinned=True)  # type: ignore[assignment]

    def __init__(self, total: int = 8 * 2**30) -> None:
        super().__init__(total)
        self.computing_lane = ComputeLane()
        self.simulation = Touching(total, self.computing_lane)
        self.copies = CopyLane()
        self.locked = 0
        self.sent: list[int] = []
        self.at: list[int] = []

    def copying(self) -> CopyLane:
        return self.copies

    def lane(self) -> ComputeLane:
        return self.computing_lane

    def empty(self, nbytes: int) -> Tensor:
        made = super().empty(nbytes)
        self.computing_lane.touch(made)  # memory that was something else's a moment ago
        return made.fill_(255)

    def pinned(self, nbytes: int) -> Tensor:
        self.locked += nbytes
        return torch.full((nbytes,), 255, dtype=torch.uint8)

    def send(self, target: Tensor, source: Tensor, lane: CopyLane) -> None:
        touched = self.computing_lane.touched[target.untyped_storage()._cdata]
        assert lane.seen >= touched, "a copy into memory that may still be computed with"
        self.sent.append(len(target))
        self.at.append(self.computing_lane.products)
        to, of = target.numpy(), source.numpy()  # past the lane of computing
        lane.tell(lambda: np.copyto(to, of))
