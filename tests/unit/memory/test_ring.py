"""The ring on a virtual clock: right weights, no waiting beyond what the bus dictates, close to the roofline."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.memory.plan import SLOTS, Budget, Demand, plan, smallest
from engine.memory.ring import Ring
from tests.unit.memory.virtual import VirtualLanes

SIZES = st.lists(st.integers(1, 100), min_size=1, max_size=30)


def passes(lanes: VirtualLanes, ring: Ring, seconds: list[float], resident: tuple[bool, ...], count: int) -> None:
    """Compute all groups in order, `count` times."""
    for _ in range(count):
        for group, stays in enumerate(resident):
            slot = None if stays else ring.enter(group)
            lanes.compute(slot, group, seconds[group])
    ring.leave()


def streamed(resident: tuple[bool, ...]) -> list[int]:
    return [group for group, stays in enumerate(resident) if not stays]


@settings(max_examples=1500)
@given(SIZES, st.data())
def test_no_wait_is_longer_than_a_transfer_less_what_is_computed_beside_it(
    sizes: list[int], data: st.DataObject
) -> None:
    count = len(sizes)
    seconds = data.draw(st.lists(st.floats(0, 20), min_size=count, max_size=count))
    resident = tuple(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    rate = data.draw(st.sampled_from([1.0, 10.0, 100.0]))
    lanes = VirtualLanes(sizes, rate, max(sizes))
    ring = Ring(streamed(resident), SLOTS, lanes)
    passes(lanes, ring, seconds, resident, 3)
    # what is computed from one streamed group to the next hides the transfer of that next one
    order = streamed(resident) * 3
    segments = [0.0]
    for group in list(range(count)) * 3:
        if not resident[group]:
            segments.append(0.0)
        segments[-1] += seconds[group]
    first = sizes[order[0]] / rate if order else 0.0
    following = [sizes[group] / rate for group in order[1:]] + [0.0]
    bound = segments[0] + first + sum(max(pair) for pair in zip(segments[1:], following, strict=False))
    assert lanes.computing <= bound * (1 + 1e-9) + 1e-9
    assert lanes.most <= SLOTS


@given(SIZES, st.integers(1, 4), st.data())
def test_any_order_gets_the_right_weights(sizes: list[int], slots: int, data: st.DataObject) -> None:
    lanes = VirtualLanes(sizes, 1.0, max(sizes))
    ring = Ring(range(len(sizes)), slots, lanes)
    for group in data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=40)):
        lanes.compute(ring.enter(group), group, 1.0)
        if data.draw(st.booleans()):
            ring.drop(data.draw(st.integers(0, len(sizes) - 1)))
    assert lanes.most <= slots


def test_in_order_only_the_very_first_group_is_waited_for() -> None:
    lanes = VirtualLanes([10] * 6, 10.0, 10)
    ring = Ring(range(6), 2, lanes)
    passes(lanes, ring, [1.0] * 6, (False,) * 6, 5)
    assert ring.misses == 1
    assert lanes.computing == pytest.approx(30 + 1)


def test_a_ring_that_holds_a_whole_net_copies_it_once() -> None:
    lanes = VirtualLanes([10] * 3, 10.0, 10)
    ring = Ring(range(3), 4, lanes)
    for group in (0, 1, 2):
        ring.enter(group)
    assert ring.misses == 1


def test_a_ring_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="one slot"):
        Ring([0], 0, VirtualLanes([1], 1.0, 1))


@settings(max_examples=300)
@given(SIZES, st.floats(0, 300), st.integers(0, 3000), st.sampled_from([1.0, 10.0, 100.0]))
def test_the_plan_tells_the_time_that_its_mode_takes(sizes: list[int], seconds: float, more: int, rate: float) -> None:
    """With computing spread like the bytes; apart from a transfer, and from what uneven groups leave idle."""
    demand = Demand("net", tuple(sizes), seconds=seconds)
    mode = plan(demand, Budget(smallest(demand) + more, rate, overlaps=True))
    if mode.whole or mode.staging < SLOTS * max(
        size for size, stays in zip(sizes, mode.resident, strict=True) if not stays
    ):
        return
    lanes = VirtualLanes(sizes, rate, mode.staging // SLOTS)
    shares = [seconds * size / sum(sizes) for size in sizes]
    ring = Ring(streamed(mode.resident), SLOTS, lanes)
    passes(lanes, ring, shares, mode.resident, 4)
    assert lanes.computing >= 4 * mode.seconds * (1 - 1e-6) - 2 * mode.staging / rate
    transfer = sum(size for size, stays in zip(sizes, mode.resident, strict=True) if not stays) / rate
    assert lanes.computing <= 4 * (seconds + transfer) + mode.staging / rate
