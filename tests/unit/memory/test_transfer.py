"""Transfers beside computing: nothing is used before it arrived, nor written over before it was used."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.memory.device import SimulatedDevice
from engine.memory.groups import layout
from engine.memory.ledger import Use
from engine.memory.rates import BUS, Rates, measured
from engine.memory.residency import Residency
from engine.memory.room import Room
from engine.memory.transfer import STAGES, Laned, Part, Pinned, rounded
from tests.unit.memory.lanes import LanedDevice

LAYERS, SIDE = 9, 12
MIB = 2**20


def made() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(SIDE, SIDE) for _ in range(LAYERS))).requires_grad_(False)


NET = made()
CUT = layout(NET, None, (1, 1))
GROUP = CUT.groups[0].nbytes
SENT = GROUP - 256 + 4 * SIDE  # the last of a group's tensors is not padded
X = torch.linspace(-1, 1, 2 * SIDE).reshape(2, SIDE)
with torch.inference_mode():
    EXPECTED = NET(X)


@contextmanager
def streaming(limit: int, net: nn.Module = NET) -> Iterator[tuple[LanedDevice, Residency, Pinned]]:
    device = LanedDevice()
    pinned = Pinned(device, limit)
    residency = Residency(net, device, pinned)
    yield device, residency, pinned
    residency.leave()
    assert device.figures().used == 0


def answer(device: LanedDevice) -> Tensor:
    with torch.inference_mode(), device.computing():
        result: Tensor = NET(device.upload(X))
    return result


def passes(device: LanedDevice, residency: Residency, resident: tuple[bool, ...], slots: int, count: int) -> None:
    for _ in range(count):
        with residency.streamed(CUT, resident, slots):
            assert torch.equal(answer(device), EXPECTED)


@settings(max_examples=60)
@given(
    st.lists(st.booleans(), min_size=LAYERS, max_size=LAYERS), st.integers(1, 3), st.integers(0, 12 * rounded(GROUP))
)
def test_answers_are_the_same_to_the_bit_however_late_copies_are(resident: list[bool], slots: int, limit: int) -> None:
    with streaming(limit) as (device, residency, pinned):
        passes(device, residency, tuple(resident), slots, 3)
        kept = pinned.ledger.figures()
        assert kept["weights"] + kept["staging"] <= limit
        assert set(device.copies.waiting_threads) <= {"weights_0"}, "somebody who computes waited on the host"


def test_the_next_group_is_on_its_way_while_one_is_computed_with_also_from_one_pass_to_the_next() -> None:
    with streaming(10**9) as (device, residency, _):
        passes(device, residency, (False,) * LAYERS, 2, 1)  # fills pinned memory, in a thread of its own
        assert len(device.sent) == LAYERS + 2
        passes(device, residency, (False,) * LAYERS, 2, 2)
        assert device.sent == [SENT] * (3 * LAYERS + 2)
        # group n + 2 is told as soon as group n was computed with, so n + 1 is there or under way all the time
        assert device.at[-2 * LAYERS :] == list(range(LAYERS + 1, 3 * LAYERS + 1))


@pytest.mark.parametrize(("groups", "kept"), [(100, LAYERS), (STAGES + 4, 4), (STAGES, 0), (0, 0)])
def test_what_may_stay_pinned_is_filled_once_and_the_rest_passes_through_two_stages(groups: int, kept: int) -> None:
    with streaming(groups * rounded(SENT)) as (device, residency, pinned):
        passes(device, residency, (False,) * LAYERS, 2, 3)
        residency.leave()
        loads = 3 * LAYERS + 2
        own = 4 * (SIDE * SIDE + SIDE)
        # of those that are not kept the first two are loaded once more, for a pass that never came
        ahead = sum(place >= kept for place in range(2)) if kept < LAYERS else 0
        assert pinned.filled == own * (kept + 3 * (LAYERS - kept) + ahead)
        assert len(device.sent) == loads
        assert device.locked == SENT * (STAGES + kept)
        assert pinned.ledger.figures()["weights"] == 0


def test_what_is_pinned_stands_in_the_books_of_the_host_to_the_byte() -> None:
    with streaming(10**9) as (device, residency, pinned):
        passes(device, residency, (False,) * LAYERS, 2, 2)
        books = pinned.ledger.figures()
        assert books["staging"] == STAGES * rounded(SENT)
        assert books["weights"] == LAYERS * rounded(SENT)
        assert device.locked == (STAGES + LAYERS) * SENT  # the rest is what torch rounds up


@pytest.mark.parametrize("groups", [STAGES + LAYERS, STAGES + 3, STAGES, 0])
def test_where_the_host_runs_short_pinned_groups_are_given_back_and_filled_anew(groups: int) -> None:
    with streaming(10**9) as (device, residency, pinned):
        passes(device, residency, (False,) * LAYERS, 2, 2)
        before = pinned.filled
        pinned.shrink(groups * rounded(SENT))
        stay = max(0, groups - STAGES)
        assert pinned.ledger.figures()["weights"] == stay * rounded(SENT)
        passes(device, residency, (False,) * LAYERS, 2, 2)
        assert (pinned.filled == before) == (stay == LAYERS)


def test_between_jobs_a_room_pins_half_of_what_the_host_has_free_then(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"bytes": 10 * MIB}
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free["bytes"]))
    there = Room(LanedDevice())
    assert there.pinned is not None
    assert there.pinned.ledger.limit == 5 * MIB
    there.pinned.ledger.reserve("weights", Use.WEIGHTS, MIB)
    free["bytes"] = 2 * MIB
    there.refresh()
    assert there.pinned.ledger.limit == MIB + MIB // 2


def test_what_is_let_go_of_in_the_middle_is_no_longer_written_to() -> None:
    with streaming(0) as (device, residency, _):
        with pytest.raises(ZeroDivisionError), residency.streamed(CUT, (False,) * LAYERS, 2):
            raise ZeroDivisionError
        passes(device, residency, (False,) * LAYERS, 2, 1)
    gc.collect()
    assert device.figures().used == 0


def test_loads_of_a_slot_arrive_in_the_order_in_which_they_were_told() -> None:
    device, gate = LanedDevice(), Event()
    pinned = Pinned(device, 10**6)
    slot, first, second = device.empty(64), torch.full((8,), 1.0), torch.full((8,), 2.0)
    laned = Laned([slot], pinned)
    laned.load(0, 2, [Part(second, 0)])
    laned.wait(0)  # the second is kept, so that it could be sent at once from now on
    pinned._thread.submit(gate.wait)
    laned.load(0, 1, [Part(first, 0)])
    laned.load(0, 2, [Part(second, 0)])
    gate.set()
    laned.wait(0)
    assert torch.equal(Part(second, 0).within(slot), second)
    laned.close()


def test_tensors_of_any_type_and_order_have_their_place() -> None:
    memory = torch.zeros(4096, dtype=torch.uint8)
    for tensor in (torch.randn(3, 5).t(), torch.arange(7, dtype=torch.float16), torch.randn(2, 8)[:, ::2]):
        Part(tensor, 512).within(memory).copy_(tensor)
        assert torch.equal(Part(tensor, 512).within(memory), tensor)
    assert not memory[:512].any()


class Timed(LanedDevice):
    """Takes as long as it is told."""

    def __init__(self, *seconds: float) -> None:
        super().__init__()
        self._seconds = iter(seconds)

    def seconds(self, work: object) -> float:
        return next(self._seconds)


def test_rates_are_those_of_the_fastest_of_several_runs_after_a_first_one() -> None:
    found = measured(Timed(0.001, 3.0, 2.0, 4.0, 0.001, 8.0, 5.0, 6.0))
    assert found.bus == pytest.approx(2**26 / 2.0)
    assert found.arithmetic == pytest.approx(2 * 4096**3 / 5.0)


def test_devices_without_lanes_are_not_measured() -> None:

    assert measured(SimulatedDevice()) == Rates(BUS, 0.0)
