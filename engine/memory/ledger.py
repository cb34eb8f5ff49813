"""The books of one memory: whoever wants bytes reserves them first, and there are never more than the limit.

What was reserved for good may be taken back while nobody has it on lease: the reservation whose loss costs the fewest
seconds goes first. One ledger is there for each device, and one for the memory of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from threading import RLock
from typing import ClassVar

from engine.foundation.errors import EaselError
from engine.foundation.units import format_bytes


class Use(StrEnum):
    """What bytes are for."""

    WEIGHTS = "weights"
    STAGING = "staging"
    ACTIVATIONS = "activations"
    OUTPUTS = "outputs"


class NoRoomError(EaselError):
    """More bytes were asked for than can be had, even if everything idle went. `needed` is how many, of
    `possible` ones."""

    code: ClassVar[str] = "no_room"

    def __init__(self, name: str, needed: int, possible: int) -> None:
        super().__init__(
            "there is not enough memory",
            where=name,
            expected=f"at least {format_bytes(needed)} ({needed} bytes)",
            got=f"{format_bytes(max(0, possible))} at the most",
            hint="Allow more with --vram-budget, end other programs, or ask for a smaller picture or batch.",
        )
        self.needed = needed
        self.possible = possible


class Reservation:
    """Bytes in a ledger, until `release`; entering it is a lease, while which nobody may take them back."""

    def __init__(self, ledger: Ledger, name: str, use: Use, nbytes: int, give_up: Callable[[], None] | None) -> None:
        self.name = name
        self.use = use
        self.nbytes = nbytes
        self.cost = 0.0
        """Seconds that it costs to have them again, times how likely that is. The owner may change it."""
        self._ledger = ledger
        self._give_up = give_up
        self._leases = 0
        self._open = True

    @property
    def open(self) -> bool:
        """Whether the bytes are still reserved."""
        return self._open

    @property
    def leased(self) -> bool:
        """Whether somebody uses them now."""
        return self._leases > 0

    @property
    def idle(self) -> bool:
        """Whether they may be taken back."""
        return self._open and not self._leases and self._give_up is not None

    def release(self) -> None:
        """Give the bytes back; again is no matter."""
        self._ledger._remove(self)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold on to the bytes within the block."""
        self._ledger._lease(self, 1)
        try:
            yield
        finally:
            self._ledger._lease(self, -1)


class Ledger:
    """Reserves bytes of one memory, `limit` in all. May be read from any thread."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self._wanted = limit
        self._lock = RLock()
        self._entries: list[Reservation] = []  # the longest unused first

    @property
    def limit(self) -> int:
        """Bytes there are; more than was asked for after a shrink as long as leases stand in its way."""
        with self._lock:
            return max(self._wanted, sum(entry.nbytes for entry in self._entries))

    @property
    def used(self) -> int:
        """Bytes that are reserved."""
        with self._lock:
            return sum(entry.nbytes for entry in self._entries)

    @property
    def free(self) -> int:
        """Bytes that can be had without taking any back."""
        return self.limit - self.used

    @property
    def evictable(self) -> int:
        """Bytes that could be taken back now."""
        with self._lock:
            return sum(entry.nbytes for entry in self._entries if entry.idle)

    def idle(self) -> list[Reservation]:
        """What could be taken back now."""
        with self._lock:
            return [entry for entry in self._entries if entry.idle]

    def figures(self) -> dict[str, int]:
        """Bytes by use, and the limit."""
        with self._lock:
            by_use = {str(use): sum(entry.nbytes for entry in self._entries if entry.use is use) for use in Use}
        return by_use | {"limit": self.limit}

    def reserve(
        self, name: str, use: Use, nbytes: int, give_up: Callable[[], None] | None = None, cost: float = 0.0
    ) -> Reservation:
        """Reserve `nbytes`, taking back what is idle as far as needed.

        With `give_up` they may be taken back themselves while nobody leases them: it is called to free them, and must
        not raise. Raises `NoRoomError` if there are too few, and takes nothing back then.
        """
        with self._lock:
            if nbytes > self._wanted - self.used + self.evictable:
                raise NoRoomError(name, nbytes, self._wanted - self.used + self.evictable)
            self._make_room(nbytes)
            entry = Reservation(self, name, use, nbytes, give_up)
            entry.cost = cost
            self._entries.append(entry)
            return entry

    def shrink(self, limit: int) -> int:
        """Let there be `limit` bytes from now on, more or fewer than before; what is idle goes as far as needed.

        Gives the bytes by which leases still exceed it; those go when they come back.
        """
        with self._lock:
            self._wanted = limit
            self._make_room(0)
            return max(0, self.used - limit)

    def evict_idle(self) -> int:
        """Take back all that is idle. Gives how many bytes that were."""
        with self._lock:
            idle = [entry for entry in self._entries if entry.idle]
            for entry in idle:
                self._evict(entry)
            return sum(entry.nbytes for entry in idle)

    def _make_room(self, nbytes: int) -> None:
        for entry in sorted((entry for entry in self._entries if entry.idle), key=lambda entry: entry.cost):
            if self.used + nbytes <= self._wanted:
                return
            self._evict(entry)

    def _evict(self, entry: Reservation) -> None:
        self._remove(entry)
        if entry._give_up is not None:
            entry._give_up()

    def _remove(self, entry: Reservation) -> None:
        with self._lock:
            entry._open = False
            if entry in self._entries:
                self._entries.remove(entry)

    def _lease(self, entry: Reservation, change: int) -> None:
        with self._lock:
            if change > 0 and not entry.open:
                raise RuntimeError(f"{entry.name} was given back and cannot be leased")
            entry._leases += change
            if change > 0:
                self._entries.remove(entry)
                self._entries.append(entry)
            elif not entry.leased and self.used > self._wanted:
                self._make_room(0)
