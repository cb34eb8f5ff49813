"""What stays is spread so that what passes through can be fetched in time, and the time is that of the real ring."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.memory.pace import pace, spread
from engine.memory.ring import Ring
from tests.unit.memory.virtual import VirtualLanes

GROUPS = st.lists(st.integers(1, 100), min_size=1, max_size=24).map(tuple)


@given(GROUPS, st.integers(0, 2000), st.data())
def test_as_many_stay_as_fit(groups: tuple[int, ...], allowed: int, data: st.DataObject) -> None:
    shares = data.draw(st.lists(st.floats(0.01, 1), min_size=len(groups), max_size=len(groups)))
    for weights in ((), [share / sum(shares) for share in shares]):
        kept = spread(groups, allowed, weights)
        used = sum(size for size, stays in zip(groups, kept, strict=True) if stays)
        assert used <= allowed
        assert all(stays or used + size > allowed for size, stays in zip(groups, kept, strict=True))


def test_half_the_groups_are_every_second_one() -> None:
    assert spread([10] * 8, 40) == (False, True) * 4


def test_what_is_streamed_is_where_there_is_time_to_fetch_it() -> None:
    assert spread([10] * 6, 30, [0.0, 0.0, 0.0, 0.2, 0.4, 0.4]) == (True, True, True, False, False, False)


@settings(max_examples=400)
@given(GROUPS, st.integers(1, 4), st.sampled_from([1.0, 10.0, 100.0]), st.data())
def test_a_pass_takes_as_long_as_with_the_ring(
    groups: tuple[int, ...], slots: int, rate: float, data: st.DataObject
) -> None:
    count = len(groups)
    seconds = data.draw(st.lists(st.floats(0, 20), min_size=count, max_size=count))
    resident = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    lanes = VirtualLanes(groups, rate, max(groups))
    ring = Ring([place for place, stays in enumerate(resident) if not stays], slots, lanes)
    ends = [0.0]
    for _ in range(3):
        for place, stays in enumerate(resident):
            lanes.compute(None if stays else ring.enter(place), place, seconds[place])
            ring.leave()
        ends.append(lanes.computing)
    assert pace(groups, seconds, resident, slots, rate) == pytest.approx(ends[-1] - ends[-2], abs=1e-6)
