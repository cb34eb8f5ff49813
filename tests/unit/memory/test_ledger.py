"""The ledger: never above its limit, nothing on lease taken away, everything given back."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.memory.ledger import Ledger, NoRoomError, Reservation, Use

BYTES = st.integers(0, 400)


class LedgerMachine(RuleBasedStateMachine):
    """Requests, leases, their ends, cancellations and shrinks in any order, against a list of what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 1000
        self.ledger = Ledger("device", self.limit)
        self.held: list[Reservation] = []
        self.evicted: list[Reservation] = []
        self.leases: list[tuple[Reservation, ExitStack]] = []

    @rule(nbytes=BYTES, use=st.sampled_from(Use), movable=st.booleans(), cost=st.floats(0, 9))
    def request(self, nbytes: int, use: Use, movable: bool, cost: float) -> None:
        fixed = sum(entry.nbytes for entry in self.held if not entry.idle)
        before = list(self.held)
        made: list[Reservation] = []
        try:
            made.append(
                self.ledger.reserve(
                    "it", use, nbytes, (lambda: self.evicted.append(made[0])) if movable else None, cost
                )
            )
        except NoRoomError as error:
            assert (error.needed, fixed + nbytes > self.limit) == (nbytes, True)  # noqa: PT017  # either may come
            assert self.held == before
            assert all(entry.open for entry in before)
        else:
            assert fixed + nbytes <= max(self.limit, fixed) or not nbytes
            self.held.append(made[0])
        self.settle()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def lease(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.held))
        stack = ExitStack()
        stack.enter_context(entry.lease())
        self.leases.append((entry, stack))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.leases) - 1))
        self.leases.pop(place)[1].close()
        self.settle()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.held))
        if not entry.leased:
            entry.release()
            entry.release()
            self.held.remove(entry)

    @rule(limit=st.integers(0, 1500))
    def shrink(self, limit: int) -> None:
        self.limit = limit
        over = self.ledger.shrink(limit)
        self.settle()
        assert over == max(0, sum(entry.nbytes for entry in self.held) - limit)

    @rule()
    def evict(self) -> None:
        idle = sum(entry.nbytes for entry in self.held if entry.idle)
        assert self.ledger.evict_idle() == idle
        self.settle()

    @invariant()
    def bytes_are_never_above_the_limit(self) -> None:
        assert self.ledger.used == sum(entry.nbytes for entry in self.held) <= self.ledger.limit
        kept = sum(entry.nbytes for entry in self.held if not entry.idle)
        assert self.ledger.used <= max(self.limit, kept)
        assert sum(self.ledger.figures().values()) == self.ledger.used + self.ledger.limit

    @invariant()
    def what_is_on_lease_is_there(self) -> None:
        assert all(entry.open for entry, _ in self.leases)

    def teardown(self) -> None:
        for _, stack in self.leases:
            stack.close()
        self.settle()
        for entry in self.held:
            entry.release()
        assert self.ledger.used == 0

    def settle(self) -> None:
        """Take what was given up off the list."""
        for entry in self.evicted:
            self.held.remove(entry)
        assert not any(entry.open for entry in self.evicted)
        self.evicted.clear()


# Each evicted entry settles before the machine looks at it again; more steps than usual reach deep mixtures.
TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=60)


def test_the_cheapest_goes_first_and_no_more_than_needed() -> None:
    gone: list[str] = []
    ledger = Ledger("device", 300)
    for name, cost in (("dear", 3.0), ("cheap", 1.0), ("middling", 2.0)):
        ledger.reserve(name, Use.WEIGHTS, 100, lambda name=name: gone.append(name), cost)  # type: ignore[misc]
    ledger.reserve("new", Use.ACTIVATIONS, 150)
    assert gone == ["cheap", "middling"]


def test_of_equal_cost_the_longest_unused_goes() -> None:
    gone: list[str] = []
    ledger = Ledger("device", 200)
    first = ledger.reserve("first", Use.WEIGHTS, 100, lambda: gone.append("first"))
    ledger.reserve("second", Use.WEIGHTS, 100, lambda: gone.append("second"))
    with first.lease():
        pass
    ledger.reserve("new", Use.WEIGHTS, 100)
    assert gone == ["second"]


def test_what_shrank_below_leases_recovers_when_they_end() -> None:
    ledger = Ledger("device", 100)
    held = ledger.reserve("net", Use.WEIGHTS, 80, lambda: None)
    with held.lease():
        assert ledger.shrink(50) == 30
        assert ledger.limit == 80
        with pytest.raises(NoRoomError, match="1 bytes"):
            ledger.reserve("more", Use.ACTIVATIONS, 1)
    assert not held.open
    assert ledger.limit == 50


def test_what_was_given_back_cannot_be_leased() -> None:
    entry = Ledger("device", 10).reserve("net", Use.WEIGHTS, 5)
    entry.release()
    with pytest.raises(RuntimeError, match="given back"), entry.lease():
        pass
