"""A device that there is not, with a clock of its own: computing and copies take the time that rates say."""

from __future__ import annotations

from collections.abc import Sequence


class VirtualLanes:
    """Lanes on a virtual clock, over `groups` of bytes, that check what a real device would get wrong silently."""

    def __init__(self, groups: Sequence[int], rate: float, window: int) -> None:
        self.groups = groups
        self.computing = 0.0
        """When the lane of computing is done with all it was told."""
        self.copying = 0.0
        """When the lane of copies is."""
        self.copied = 0
        self._rate = rate
        self._window = window
        self._arrives: dict[int, float] = {}
        self._usable: dict[int, float] = {}
        self.content: dict[int, int] = {}
        self._ready: set[int] = set()
        self.most = 0

    def load(self, slot: int, group: int) -> None:
        assert self.groups[group] <= self._window, "a group that is larger than the window"
        begin = max(self.copying, self._usable.get(slot, 0.0))
        self.copying = begin + self.groups[group] / self._rate
        self._arrives[slot] = self.copying
        self.content[slot] = group
        self._ready.discard(slot)
        self.copied += self.groups[group]
        self.most = max(self.most, len(self.content))

    def wait(self, slot: int) -> None:
        self.computing = max(self.computing, self._arrives[slot])
        self._ready.add(slot)

    def release(self, slot: int) -> None:
        self._usable[slot] = self.computing

    def compute(self, slot: int | None, group: int, seconds: float) -> None:
        """Compute on a group's weights, which are resident or in a slot."""
        if slot is not None:
            assert self.content[slot] == group, "computed on the weights of another group"
            assert slot in self._ready, "computed on weights without waiting for them"
        self.computing += seconds
