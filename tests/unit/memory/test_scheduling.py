"""The real room over random nets, budgets and orders on a virtual clock: within the budget, and no needless waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.memory.device import Capabilities, SimulatedDevice
from engine.memory.handle import ModelHandle
from engine.memory.ledger import NoRoomError
from engine.memory.rates import Rates
from engine.memory.room import ROOM, Room
from engine.memory.work import Given, Work

RATE = 1e6  # bytes a second
META = torch.device("meta")


class Clock:
    """A lane of work whose end is known: events are times."""

    def __init__(self) -> None:
        self.time = 0.0

    def record_event(self) -> Time:
        return Time(self.time)

    def wait_event(self, event: Time) -> None:
        self.time = max(self.time, event.time)


class Time:
    """A point on the clock."""

    def __init__(self, time: float) -> None:
        self.time = time

    def synchronize(self) -> None:
        pass


class VirtualDevice(SimulatedDevice):
    """Counts bytes that there are not, and takes the time that copies and layers would take."""

    can = Capabilities(own_memory=True, streams=True, pinned=True)  # type: ignore[assignment]

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self.clock, self.copies = Clock(), Clock()

    def upload(self, tensor: Tensor) -> Tensor:
        made = torch.empty_like(tensor)
        self.simulation.count(made)
        self.clock.time += tensor.nbytes / RATE
        return made

    def empty(self, nbytes: int) -> Tensor:
        made = torch.empty(nbytes, dtype=torch.uint8, device=META)
        self.simulation.count(made)
        return made

    def copying(self) -> Clock:
        return self.copies

    def lane(self) -> Clock:
        return self.clock

    def pinned(self, nbytes: int) -> Tensor:
        return torch.empty(nbytes, dtype=torch.uint8, device=META)

    def send(self, target: Tensor, source: Tensor, lane: Clock) -> None:
        lane.time += len(target) / RATE

    def peak(self) -> None:
        return None

    def computing(self) -> AbstractContextManager[None]:
        return nullcontext()


class Layer(nn.Module):
    """Takes `seconds`, and as many bytes besides while it does as it has itself."""

    def __init__(self, side: int, seconds: float, device: VirtualDevice) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(side, side, device=META), requires_grad=False)
        self._seconds = seconds
        self._device = device

    def forward(self, x: Tensor) -> Tensor:
        self._device.clock.time += self._seconds
        return x @ self.weight


NETS = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from([8, 16, 32]), st.sampled_from([0.0, 1e-4, 1e-3, 1e-2])),
    min_size=1,
    max_size=4,
)


BUDGETS = st.integers(2_000, 150_000)
ORDERS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12)


@contextmanager
def room(device: VirtualDevice) -> Iterator[Room]:
    made = Room(device, rates=Rates(RATE, 0.0), bounds=(1, 1), pinned=0)
    token = ROOM.set(made)
    try:
        yield made
    finally:
        ROOM.reset(token)
        made.clear()


def timed(there: Room, device: VirtualDevice, handle: ModelHandle[Any], side: int) -> tuple[float, float]:
    """Seconds of a pass, and of the copies that were under way when it began."""
    x = torch.empty(1, side, device=META)

    def compute(net: nn.Module, _given: Given) -> tuple[float, float]:
        assert there.pinned is not None
        there.pinned.rest()  # everything that was asked for is told to the lane
        begin = device.clock.time
        under_way = max(0.0, device.copies.time - begin)
        net(x)
        return device.clock.time - begin, under_way

    return handle.run(lambda: Work(side, lambda net, x: net(x), (x,)), compute)


def bound(handle: ModelHandle[Any], layers: int, size: int, seconds: float, uploaded: int) -> float:
    """What a pass may take: what is computed up to the next streamed layer hides the transfer of that one."""
    placing = handle._tenant.placing  # type: ignore[union-attr]
    assert placing is not None
    resident = placing.resident if placing.hooks else (True,) * layers
    one = size / RATE
    if not all(resident) and placing.slots == 1:
        return uploaded / RATE + layers * seconds + one * (layers - sum(resident) + 1)
    segments = [0.0]
    for stays in resident:
        if not stays:
            segments.append(0.0)
        segments[-1] += seconds
    waits = [max(segment, one) for segment in segments[1:]]
    return uploaded / RATE + segments[0] + one + sum(waits)


def checked(nets: list[tuple[int, int, float]], budget: int, order: list[tuple[int, bool]]) -> None:
    """Passes of nets in an order; before some of them other programs take half of the memory, or leave it again."""
    device = VirtualDevice(budget)
    handles = [
        ModelHandle(nn.Sequential(*(Layer(side, seconds, device) for _ in range(layers))), device.place)
        for layers, side, seconds in nets
    ]
    with room(device) as there:
        for number, pressed in order:
            layers, side, seconds = nets[number % len(nets)]
            handle = handles[number % len(nets)]
            device.simulation.limit = budget // 2 if pressed else budget  # what other programs leave
            there.refresh()
            before = 0 if handle._tenant is None else handle._tenant.residency.uploads
            try:
                took, under_way = timed(there, device, handle, side)
            except NoRoomError as error:
                assert error.needed > device.simulation.limit  # noqa: PT017  # either may come
                continue
            uploaded = handle._tenant.residency.uploads - before  # type: ignore[union-attr]
            most = under_way + bound(handle, layers, 4 * side * side, seconds, uploaded)
            assert took <= most * (1 + 1e-9) + 1e-9
            assert there.ledger.used <= there.ledger.limit
            assert device.figures().used <= min(there.ledger.used, device.simulation.limit)
        assert there.out_of_memory == 0


@settings(max_examples=100)
@given(NETS, BUDGETS, ORDERS)
def test_any_order_of_nets_is_within_the_budget_and_waits_for_transfers_only(
    nets: list[tuple[int, int, float]], budget: int, order: list[tuple[int, bool]]
) -> None:
    checked(nets, budget, order)


@pytest.mark.long
@settings(max_examples=5000)
@given(NETS, BUDGETS, ORDERS)
def test_thousands_of_orders_are_within_the_budget_and_wait_for_transfers_only(
    nets: list[tuple[int, int, float]], budget: int, order: list[tuple[int, bool]]
) -> None:
    checked(nets, budget, order)


def test_a_net_that_hides_its_transfers_runs_at_full_speed_from_step_to_step() -> None:
    device = VirtualDevice(40_000)
    handle = ModelHandle(nn.Sequential(*(Layer(32, 0.01, device) for _ in range(20))), device.place)
    x = torch.empty(1, 32, device=META)
    with room(device) as there:
        for _ in range(3):
            begin = device.clock.time
            handle.run(lambda: Work(32, lambda net, x: net(x), (x,)), lambda net, _given: net(x))
        assert there.hooked == 3
        assert device.clock.time - begin == pytest.approx(20 * 0.01)
