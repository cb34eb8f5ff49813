"""The staging ring: groups of weights that are not resident pass through a few slots, the next while one is used.

The ring decides what is copied where and when; how copies and waits are done is a matter of its `Lanes`: one of copies
and one of computing, which run beside each other on devices that can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Lanes(Protocol):
    """Two lanes of work in order, that of copies and that of computing, and what each waits for."""

    def load(self, slot: int, group: int) -> None:
        """Copy a group's weights into a slot, once what was `released` there is computed."""
        ...

    def wait(self, slot: int) -> None:
        """Let computing go on when the latest load of a slot has arrived."""
        ...

    def release(self, slot: int) -> None:
        """What was told to compute so far is the last that needs the slot's weights."""
        ...


class Ring:
    """Passes `streamed` groups, in the order they are used again and again, through `slots` slots.

    Other orders are right, too, only slower. The first groups are fetched ahead of the next pass, too.
    """

    def __init__(self, streamed: Sequence[int], slots: int, lanes: Lanes) -> None:
        if slots < 1:
            raise ValueError(f"a ring has one slot at the least, got {slots}")
        self._after = dict(zip(streamed, (*streamed[1:], *streamed[:1]), strict=True))
        self._lanes = lanes
        self._free = list(range(slots))
        self._held: dict[int, int] = {}  # slot by group, the longest there first
        self._current: int | None = None
        self.misses = 0
        """Groups that were not fetched ahead."""

    def enter(self, group: int) -> int:
        """The slot that holds `group`, whose weights are used from now on until `leave`."""
        if self._current == group:
            return self._held[group]
        self.leave()
        if group not in self._held:
            self.misses += 1
            if not self._free:
                self._free.append(self._held.pop(next(iter(self._held))))
            self._load(group)
        self._current = group
        self._lanes.wait(self._held[group])
        self._fetch_ahead()
        return self._held[group]

    def leave(self) -> None:
        """The group that was entered is not used any more: its slot is for those that come."""
        if self._current is not None:
            slot = self._held.pop(self._current)
            self._lanes.release(slot)
            self._free.append(slot)
            last, self._current = self._current, None
            self._fetch_ahead(last)

    def drop(self, group: int) -> None:
        """What was fetched ahead of `group` is not what is wanted."""
        if group != self._current and group in self._held:
            self._free.append(self._held.pop(group))

    def _fetch_ahead(self, last: int | None = None) -> None:
        while self._free:
            last = next(reversed(self._held), last)
            group = None if last is None else self._after.get(last)
            if group is None or group in self._held:
                return
            self._load(group)

    def _load(self, group: int) -> None:
        slot = self._free.pop(0)
        self._held[group] = slot
        self._lanes.load(slot, group)
