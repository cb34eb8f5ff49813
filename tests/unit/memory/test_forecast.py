"""Forecasts: nets without bytes are planned as real ones are, and what they would answer has the right shape."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.memory.demands import EFFICIENCY
from engine.memory.device import SimulatedDevice
from engine.memory.forecast import Forecast, ImaginedDevice
from engine.memory.handle import ModelHandle
from engine.memory.rates import Rates
from engine.memory.room import ROOM, Room
from engine.memory.work import Given, Work

CPU = torch.device("cpu")
SIDE, LAYERS = 512, 8
LAYER = 4 * (SIDE * SIDE + SIDE)
ROWS = torch.ones(6, SIDE)
BOUNDS = (1, 2 * LAYER)


def net() -> nn.Module:
    return nn.Sequential(*(nn.Linear(SIDE, SIDE) for _ in range(LAYERS)))


def hollow(device: ImaginedDevice) -> nn.Module:
    with torch.device("meta"):
        made = net()
    made.load_state_dict(
        {name: device.nothing_of(tuple(weight.shape), weight.dtype) for name, weight in made.state_dict().items()},
        assign=True,
    )
    return made


def work(rows: Tensor = ROWS) -> Work:
    return Work(tuple(rows.shape[1:]), lambda net, row: net(row), (rows[:1],), len(rows))


def through(handle: ModelHandle[Any], room: Room, rows: Tensor = ROWS) -> Tensor:
    token = ROOM.set(room)
    try:
        return handle.run(lambda: work(rows), lambda net, given: _called(net, given, rows))
    finally:
        ROOM.reset(token)


def _called(net: nn.Module, given: Given, rows: Tensor) -> Tensor:
    return torch.cat([net(part) for part in rows.split(given.rows or len(rows))])


def forecast(limit: int) -> tuple[Forecast, ModelHandle[Any]]:
    device = ImaginedDevice(limit)
    return Forecast(device, bounds=BOUNDS), ModelHandle(hollow(device), CPU)


def test_an_answer_is_zeros_of_the_right_shape_and_steps_are_counted() -> None:
    room, handle = forecast(10 * LAYERS * LAYER)
    for _ in range(3):
        made = through(handle, room)
    assert type(made) is Tensor
    assert torch.equal(made, torch.zeros(6, SIDE))
    (found,) = room.works
    assert (found.net, found.calls, found.weights) == ("Sequential", 3, LAYERS * LAYER)
    assert found.mode is not None
    assert found.mode.whole
    assert found.streamed == 0


@pytest.mark.parametrize("share", [2.0, 1.0, 0.6, 0.4])
def test_the_plan_is_that_of_a_real_room(share: float) -> None:
    limit = int(share * LAYERS * LAYER)
    room, handle = forecast(limit)
    through(handle, room)
    real = Room(SimulatedDevice(limit), bounds=BOUNDS)
    other = ModelHandle(net(), CPU)
    through(other, real)
    (found,) = room.works
    assert found.mode is not None
    assert other._tenant is not None
    placing = other._tenant.placing
    assert placing is not None
    assert found.mode.weights + found.mode.staging == placing.nbytes
    assert room.ledger.figures()["weights"] == real.ledger.figures()["weights"]
    assert (real.whole, real.hooked) == (room.whole, room.hooked)


def test_what_does_not_fit_is_noted_and_what_it_needs_does() -> None:
    room, handle = forecast(LAYER // 2)
    assert through(handle, room).shape == (6, SIDE)
    (found,) = room.works
    assert found.mode is None
    again, other = forecast(found.least)
    through(other, again)
    assert again.works[0].mode is not None


def test_work_within_work_needs_both() -> None:
    room, outer = forecast(10 * LAYERS * LAYER)
    inner = ModelHandle(hollow(ImaginedDevice(1)), CPU)

    def compute(net: nn.Module, given: Given) -> Tensor:
        return _called(net, given, ROWS) + through(inner, room)

    token = ROOM.set(room)
    outer.run(work, compute)
    ROOM.reset(token)
    first, second = room.works
    assert second.least == 2 * first.least


def test_questions_about_values_are_answered_as_if_all_were_well() -> None:
    nothing = ImaginedDevice(1).nothing_of((2, 3), torch.float32)
    assert bool(nothing.isfinite().all())
    assert (float(nothing[0, 0]), int(nothing.argmax())) == (1.0, 1)


def test_seconds_are_those_of_the_device_that_is_thought_of_and_nothing_is_learned_here() -> None:
    device = ImaginedDevice(10 * LAYERS * LAYER, streams=True)
    room, handle = (
        Forecast(device, rates=Rates(bus=1e9, arithmetic=1e12), bounds=BOUNDS),
        ModelHandle(hollow(device), CPU),
    )
    for _ in range(2):
        through(handle, room)
    tenant = handle.tenancy(room)
    assert tenant is not None
    assert tenant.seconds == {}
    room.allow(LAYERS * LAYER // 2)
    room.place = "with less"
    through(handle, room)
    _, found = room.works
    flops = 2 * len(ROWS) * LAYERS * SIDE * SIDE
    assert found.demand.seconds == pytest.approx(flops / (1e12 * EFFICIENCY))
    assert found.mode is not None
    assert found.mode.seconds >= found.streamed * LAYERS * LAYER / 1e9 > found.demand.seconds
