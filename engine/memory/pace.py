"""Which groups of a net stay when not all can, and how long a pass takes then.

While a long group is computed only as much can be fetched as the window has room for, so it is not enough that the
bytes are spread evenly: what is streamed is spread over the time in which it can be fetched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

PASSES = 3  # that are played through: the last one begins as it ends
GOLDEN = 0.6180339887  # multiples of it, without their whole part, lie evenly in 0..1 however many there are


def spread(groups: Sequence[int], allowed: int, shares: Sequence[float] = ()) -> tuple[bool, ...]:
    """Which groups to keep within `allowed` bytes: as many as fit.

    What is streamed is spread over the order of execution as `shares` say, which sum up to 1, or evenly by bytes.
    """
    total = sum(groups)
    if total <= allowed:
        return (True,) * len(groups)
    kept, credit = [True] * len(groups), 0.0
    weights = shares or [nbytes / total for nbytes in groups]
    for place, (nbytes, weight) in enumerate(zip(groups, weights, strict=True)):
        credit += weight * (total - allowed)
        if credit >= nbytes / 2:
            kept[place] = False
            credit -= nbytes
    used = sum(nbytes for nbytes, stays in zip(groups, kept, strict=True) if stays)
    evenly = sorted(range(len(groups)), key=lambda place: place * GOLDEN % 1)
    for place in evenly:  # what rounding left over, and first what it took too much of
        if used > allowed and kept[place]:
            kept[place] = False
            used -= groups[place]
    for place in evenly:
        if not kept[place] and used + groups[place] <= allowed:
            kept[place] = True
            used += groups[place]
    return tuple(kept)


def pace(groups: Sequence[int], seconds: Sequence[float], resident: Sequence[bool], slots: int, rate: float) -> float:
    """Seconds of one of many passes in which the groups that are not `resident` go through a ring of `slots` slots.

    Groups of so many bytes, each computed in so many `seconds`, over a bus of `rate` bytes a second, beside computing.
    """
    streamed = [nbytes for nbytes, stays in zip(groups, resident, strict=True) if not stays]
    if not streamed:
        return sum(seconds)
    usable, arriving = deque([0.0] * slots), deque[float]()
    copying = computing = 0.0
    loads, ends = 0, [0.0]
    for _ in range(PASSES):
        for work, stays in zip(seconds, resident, strict=True):
            while usable:
                copying = max(copying, usable.popleft()) + streamed[loads % len(streamed)] / rate
                arriving.append(copying)
                loads += 1
            if not stays:
                computing = max(computing, arriving.popleft())
            computing += work
            if not stays:
                usable.append(computing)
        ends.append(computing)
    return ends[-1] - ends[-2]
