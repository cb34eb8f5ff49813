"""Rooms: nets share a device within its bytes, and work that runs out of them is done again with less at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.foundation.settings import VramPolicy
from engine.memory.budget import UNLIMITED
from engine.memory.demands import key_of
from engine.memory.device import SimulatedDevice, open_device
from engine.memory.handle import ModelHandle, tenants_in
from engine.memory.ledger import NoRoomError
from engine.memory.rates import Rates
from engine.memory.room import ROOM, Room
from engine.memory.work import Given, Work

CPU = torch.device("cpu")
BOUNDS = (1, 4096)
SIDE, LAYERS = 24, 8


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(*(layer for _ in range(LAYERS) for layer in (nn.Linear(SIDE, SIDE), nn.Tanh())))


WEIGHTS = LAYERS * 4 * (SIDE * SIDE + SIDE)
ROWS = torch.linspace(-1, 1, 6 * SIDE).reshape(6, SIDE)
LARGEST = 4 * (SIDE * SIDE + SIDE) + 256


def work(rows: Tensor = ROWS) -> Work:
    return Work(tuple(rows.shape[1:]), lambda net, row: net(row), (rows[:1],), len(rows))


def through(handle: ModelHandle[Any], rows: Tensor = ROWS) -> Tensor:
    def compute(net: nn.Module, given: Given) -> Tensor:
        return given.within(UNLIMITED).called(net, (rows,), lambda *_: 0, {})

    return handle.run(lambda: work(rows), compute)


@contextmanager
def room(limit: int, policy: VramPolicy = "normal") -> Iterator[Room]:
    made = Room(SimulatedDevice(limit), policy=policy, bounds=BOUNDS, rates=Rates(1e6))
    token = ROOM.set(made)
    try:
        yield made
    finally:
        ROOM.reset(token)


EXPECTED = {seed: through(ModelHandle(net(seed), CPU)) for seed in range(4)}


def test_where_everything_fits_nothing_is_hooked_and_nothing_copied_twice() -> None:
    handle = ModelHandle(net(), CPU)
    with room(10 * WEIGHTS) as there:
        for _ in range(3):
            assert torch.equal(through(handle), EXPECTED[0])
        assert (there.hooked, there.whole, there.out_of_memory) == (0, 3, 0)
        assert there.device.figures().used == WEIGHTS == there.ledger.figures()["weights"]
        assert not any(module._forward_pre_hooks for module in handle._net.modules())


@settings(max_examples=40)
@given(st.integers(0, 2 * WEIGHTS), st.sampled_from(["high", "normal", "low", "none"]))
def test_any_budget_gives_the_right_answer_or_says_what_it_takes(limit: int, policy: VramPolicy) -> None:
    handle = ModelHandle(net(), CPU)
    with room(limit, policy) as there:
        try:
            answer = through(handle)
        except NoRoomError as error:
            assert error.needed > limit  # noqa: PT017  # either may come
            with room(error.needed + LARGEST, policy):
                assert torch.allclose(through(handle), EXPECTED[0], atol=1e-6)
            return
        assert torch.allclose(answer, EXPECTED[0], atol=1e-6)
        assert there.device.simulation.peak <= limit  # type: ignore[attr-defined]
        assert there.out_of_memory == 0


@settings(max_examples=12)
@given(st.integers(4 * LARGEST, 3 * WEIGHTS), st.lists(st.integers(0, 3), max_size=12))
def test_nets_share_a_device_in_any_order(limit: int, order: list[int]) -> None:
    handles = [ModelHandle(net(seed), CPU) for seed in range(4)]
    with room(limit) as there:
        for seed in order:
            assert torch.allclose(through(handles[seed]), EXPECTED[seed], atol=1e-6)
            assert there.ledger.used <= limit
            assert there.device.figures().used <= there.ledger.used + ROWS.nbytes
        assert there.out_of_memory == 0
        there.clear()
        gc.collect()
        assert there.device.figures().used == there.ledger.used == 0


def test_nets_that_are_gone_leave_nothing_behind() -> None:
    with room(10 * WEIGHTS) as there:
        handle = ModelHandle(net(), CPU)
        through(handle)
        del handle
        gc.collect()
        assert there.device.figures().used == there.ledger.used == 0


def test_what_other_programs_take_is_given_up_between_jobs() -> None:
    handles = [ModelHandle(net(seed), CPU) for seed in range(2)]
    with room(4 * WEIGHTS) as there:
        for handle in handles:
            through(handle)
        there.device.simulation.limit = WEIGHTS + WEIGHTS // 2  # type: ignore[attr-defined]
        there.refresh()
        assert there.ledger.used <= there.ledger.limit == WEIGHTS + WEIGHTS // 2
        assert torch.allclose(through(handles[0]), EXPECTED[0], atol=1e-6)


def test_a_job_finds_what_other_programs_left_since_the_one_before() -> None:
    device = SimulatedDevice(4 * WEIGHTS)
    there, handles = Room(device, bounds=BOUNDS), [ModelHandle(net(seed), CPU) for seed in range(2)]
    with there.entered():
        for handle in handles:
            through(handle)
    assert there.ledger.figures()["weights"] == 2 * WEIGHTS
    device.simulation.limit = WEIGHTS + WEIGHTS // 2  # as when another program takes the rest
    with there.entered():
        assert there.ledger.figures()["weights"] == WEIGHTS
        assert there.ledger.limit == WEIGHTS + WEIGHTS // 2
        assert torch.allclose(through(handles[0]), EXPECTED[0], atol=1e-6)
    device.simulation.limit = 4 * WEIGHTS
    with there.entered():
        assert there.ledger.limit == 4 * WEIGHTS


@pytest.mark.parametrize("limit", [10 * WEIGHTS, WEIGHTS // 2])
def test_wherever_memory_runs_out_the_work_is_done_all_the_same(limit: int) -> None:
    with room(limit) as there:
        device = there.device
        assert isinstance(device, SimulatedDevice)
        through(ModelHandle(net(), CPU))
        for failing in range(1, device.simulation.allocations + 1, 3):
            device.simulation.fail_at = device.simulation.allocations + failing
            before = there.out_of_memory
            assert torch.allclose(through(ModelHandle(net(), CPU)), EXPECTED[0], atol=1e-6)
            assert there.out_of_memory <= before + 1
        assert there.out_of_memory > 5
        gc.collect()
        assert there.device.figures().used == there.ledger.figures()["activations"] == 0


def test_what_never_fits_ends_with_the_bytes_it_takes_and_the_next_work_runs() -> None:
    handle = ModelHandle(net(), CPU)
    notes: list[str] = []
    with room(10 * WEIGHTS) as there:
        there.note = notes.append

        def greedy(_net: nn.Module, _given: Given) -> Tensor:
            raise torch.OutOfMemoryError("more than anybody has")

        with pytest.raises(NoRoomError, match="Sequential: there is not enough memory: expected at least"):
            handle.run(work, greedy)
        assert notes
        assert "done again with less" in notes[0]
        assert torch.allclose(through(handle), EXPECTED[0], atol=1e-6)


def test_other_errors_pass_through_and_the_weights_are_as_before() -> None:
    handle = ModelHandle(net(), CPU)
    with room(WEIGHTS // 2) as there:

        def failing(net: nn.Module, _given: Given) -> Tensor:
            net(ROWS)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            handle.run(work, failing)
        assert there.ledger.figures()["activations"] == 0
        assert torch.allclose(through(handle), EXPECTED[0], atol=1e-6)


def test_leases_of_unknown_work_stream_too_and_may_be_nested() -> None:
    handle = ModelHandle(net(), CPU)
    with room(WEIGHTS // 2 + 64 * 2**20) as there:
        with handle.lease() as first, handle.lease() as second:
            assert torch.equal(first(ROWS), EXPECTED[0])
            assert torch.equal(second(ROWS), EXPECTED[0])
            assert torch.equal(through(handle), EXPECTED[0])
        assert there.hooked == 1


def test_estimates_learn_from_runs() -> None:
    handle = ModelHandle(net(), CPU)
    with room(10 * WEIGHTS) as there:
        for _ in range(3):
            through(handle)
        tenant = handle._tenant
        assert tenant is not None
        assert there.demands.estimates.factor(key_of(tenant, work())) < 1.3


def test_widened_weights_are_those_that_compute() -> None:
    handle = ModelHandle(net().half(), CPU)
    with room(10 * WEIGHTS):
        through(handle, ROWS.half())
        handle.widen()
        assert through(handle, ROWS).dtype == torch.float32


def test_the_cpu_and_other_devices_need_no_room() -> None:
    handle = ModelHandle(net(), CPU)
    token = ROOM.set(Room(open_device("cpu"), limit=0))
    try:
        assert torch.equal(through(handle), EXPECTED[0])
    finally:
        ROOM.reset(token)


@dataclass(frozen=True)
class Model:
    """A value between nodes, with its net somewhere within."""

    parts: tuple[dict[str, int] | ModelHandle[Any], ...]


def test_who_is_wanted_again_is_found_within_values_the_soonest_first() -> None:
    handles = [ModelHandle(net(seed), CPU) for seed in range(3)]
    with room(10 * WEIGHTS) as there:
        for handle in handles[:2]:
            through(handle)
        values = ["text", Model(({"a": 1}, handles[1])), [handles[2], Model((handles[0], handles[1]))]]
        assert list(tenants_in(values, there)) == [handles[1]._tenant, handles[0]._tenant]


@pytest.mark.parametrize(("upcoming", "gone"), [((), 0), ((0,), 1), ((0, 1), 2), ((2, 1, 0), None)])
def test_what_is_wanted_last_goes_first_and_nothing_if_all_is_wanted(
    upcoming: tuple[int, ...], gone: int | None
) -> None:
    handles = [ModelHandle(net(seed), CPU) for seed in range(4)]
    with room(3 * WEIGHTS + 20_000) as there:
        for handle in handles[:3]:
            through(handle)
        there.upcoming = lambda: tenants_in([handles[seed] for seed in upcoming], there)
        assert torch.allclose(through(handles[3]), EXPECTED[3], atol=1e-6)
        assert [handle._tenant.reserved is None for handle in handles] == [seed == gone for seed in range(4)]  # type: ignore[union-attr]
        costs = [handles[seed]._tenant.reserved.cost for seed in upcoming]  # type: ignore[union-attr]
        assert costs == sorted(costs, reverse=True)


def test_what_is_needed_once_is_streamed_beside_what_is_wanted_next() -> None:
    denoiser, encoder = (ModelHandle(net(seed), CPU) for seed in range(2))
    with room(WEIGHTS + 4 * LARGEST + 4000) as there:
        through(denoiser)
        there.upcoming = lambda: tenants_in([denoiser], there)
        once = replace(work(), once=True)
        assert torch.equal(encoder.run(lambda: once, lambda net, _given: net(ROWS)), EXPECTED[1])
        assert (there.hooked, there.whole) == (1, 1)
        uploads = denoiser._tenant.residency.uploads  # type: ignore[union-attr]
        assert torch.equal(through(denoiser), EXPECTED[0])
        assert denoiser._tenant.residency.uploads == uploads  # type: ignore[union-attr]


@pytest.mark.parametrize(("repeats", "gone"), [(1, False), (20, True)])
def test_others_go_for_what_is_done_many_times(repeats: int, gone: bool) -> None:
    other, sampled = (ModelHandle(net(seed), CPU) for seed in range(2))
    with room(2 * WEIGHTS) as there:
        through(other)
        there.upcoming = lambda: tenants_in([other], there)
        often = replace(work(), repeats=repeats)
        assert torch.equal(sampled.run(lambda: often, lambda net, _given: net(ROWS)), EXPECTED[1])
        assert (other._tenant.reserved is None) == gone  # type: ignore[union-attr]
        assert there.hooked == (not gone)


def test_nothing_of_a_run_is_held_after_it() -> None:
    there = Room(SimulatedDevice())
    with there.entered():
        there.upcoming = lambda: iter(())
    assert there.upcoming is tuple


def test_a_net_that_is_asked_for_during_work_gets_its_room_without_a_failure() -> None:
    outer, inner = (ModelHandle(net(seed), CPU) for seed in range(2))

    def both(net: nn.Module, _given: Given) -> Tensor:
        answer: Tensor = net(ROWS) + through(inner)
        return answer

    with room(WEIGHTS + 3 * LARGEST) as there:
        for _ in range(2):
            assert torch.allclose(outer.run(work, both), EXPECTED[0] + EXPECTED[1], atol=1e-6)
        assert there.out_of_memory == 0


def test_work_within_work_on_the_same_net_must_want_the_same_weights() -> None:
    handle = ModelHandle(net(), CPU)
    with room(10 * WEIGHTS), pytest.raises(RuntimeError, match="computed with already, with other weights"):
        handle.run(work, lambda _net, _given: handle.run(work, lambda net, _given: net(ROWS), Doubled()))


class Doubled:
    """Every first weight twice as large."""

    form = "doubled"

    def of(self, net: nn.Module) -> Any:
        return {"0.weight": self}

    def applied(self, net: nn.Module) -> Any:
        raise AssertionError("where memory is planned the device has the changed weights only")

    def made(self, weight: Tensor, upload: Any) -> Tensor:
        return weight * 2


@pytest.mark.parametrize("limit", [10 * WEIGHTS, WEIGHTS // 2])
def test_changed_weights_are_within_the_plan(limit: int) -> None:
    twice = net()
    with torch.no_grad():
        twice.get_parameter("0.weight").mul_(2)
    handle = ModelHandle(net(), CPU)
    with room(limit) as there:
        for changes, expected in ((Doubled(), twice(ROWS)), (None, EXPECTED[0])):
            got = handle.run(
                work, lambda net, given: given.within(UNLIMITED).called(net, (ROWS,), lambda *_: 0, {}), changes
            )
            assert torch.allclose(got, expected, atol=1e-6)
        assert there.device.simulation.peak <= limit  # type: ignore[attr-defined]
        assert there.out_of_memory == 0
