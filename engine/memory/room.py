"""The memory of one device as nets share it: who is there, who has to go, and what happens when it was not enough.

Work on a net is planned, its bytes are reserved, its weights are put where the plan says, and then it runs. What runs
out of memory all the same is repeated from its beginning, each time with less at once: work is a pure function of its
inputs, so nothing is lost but time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol, TypeVar
from weakref import WeakSet, finalize, ref

import torch
from torch import nn

from engine.foundation.settings import VramPolicy
from engine.memory.budget import CallBudget
from engine.memory.casting import keep_nothing
from engine.memory.device import Device
from engine.memory.estimate import Estimates, Trace, traced
from engine.memory.gradients import computing, wanted
from engine.memory.groups import GROUP_BYTES, Layout, layout
from engine.memory.ledger import Ledger, NoRoomError, Reservation, Use
from engine.memory.plan import SLOTS, Budget, Demand, Idle, Mode, Tile, plan, smallest
from engine.memory.residency import Residency

Net = TypeVar("Net", bound=nn.Module)
T = TypeVar("T")

RATE = 10e9  # bytes a second to a device until it was measured: PCIe 3 x16, pinned
NEXT_USE = 0.5  # how likely idle weights are wanted again, where nobody knows
KEEP = 1e6  # as if it were certain many times over: for people who want models to stay
RUNGS = 4  # plans that are tried with ever higher estimates before the smallest mode, which is tried as often
UNKNOWN_BYTES = 64 * 2**20  # of activations, of work that cannot be traced


class Beside(Protocol):
    """What is kept on the device beside a net's own weights, such as weights that adapters changed."""

    def clear(self) -> None:
        """Keep nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with a net, for the planner.

    `compute(net, *inputs)` does it for one row, or for one tile of `tiles` (side, how many times the work, inputs);
    both are only traced. None is work that nobody knows; it takes `nbytes` of activations, as does what cannot be
    traced. `row_bytes` of each row come on top of a trace. `key` tells it from other work on the net, sizes included.
    `once` says that the net is not needed again soon. `changed` bytes of weights will be exchanged for others, which
    `beside` keeps.
    """

    key: Hashable = None
    compute: Callable[..., object] | None = None
    inputs: tuple[object, ...] = ()
    rows: int = 1
    tiles: tuple[tuple[int, float, tuple[object, ...]], ...] = ()
    nbytes: int = UNKNOWN_BYTES
    once: bool = False
    row_bytes: int = 0
    changed: int = 0
    beside: Beside | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What work may use: most rows a call, and the side of tiles; None for all rows and whole pictures."""

    rows: int | None = None
    tile: int | None = None

    def within(self, budget: CallBudget) -> CallBudget:
        """`budget` with these rows a call at the most."""
        return budget if self.rows is None else replace(budget, most=self.rows)


ALL = Given()


@dataclass(frozen=True, slots=True)
class Placing:
    """How a net's weights are placed: which groups stay, how many bytes that takes, and in how many slots others pass.

    Without `hooks` everything is there and stays there, and nothing has to be done during a call.
    """

    layout: Layout
    resident: tuple[bool, ...]
    slots: int
    nbytes: int
    hooks: bool

    def same(self, other: Placing | None) -> bool:
        """Whether another one is no different."""
        if other is None or (self.hooks, self.nbytes) != (other.hooks, other.nbytes):
            return False
        return not self.hooks or (self.layout is other.layout and self.resident == other.resident)


class Tenant:
    """One net in a room: what it reserved, and how it is placed."""

    _numbers = count()

    def __init__(self, name: str, net: nn.Module, room: Room) -> None:
        self.name = name
        self.number = next(self._numbers)
        self.room = room
        self.residency = Residency(net, room.device)
        keep_nothing(net)
        self.placing: Placing | None = None
        self.beside: WeakSet[Beside] = WeakSet()
        self.traces: dict[Hashable, Trace | None] = {}
        self._layouts: dict[Hashable, Layout] = {}
        self._held: list[Reservation] = []
        finalize(self, _release, self._held)

    @property
    def reserved(self) -> Reservation | None:
        """Its bytes for weights and staging, if it still has them."""
        return next((entry for entry in self._held if entry.open), None)

    @property
    def active(self) -> bool:
        """Whether somebody computes with it now."""
        return self.reserved is not None and self.reserved.leased

    def place(self, placing: Placing) -> Reservation:
        """Reserve the bytes for a placing, for which others may have to go, and drop what an earlier one had."""
        found = self.reserved
        if found is not None and placing.same(self.placing):
            return found
        if self.placing is not None and (not placing.hooks or placing.layout is not self.placing.layout):
            self.residency.leave()
        _release(self._held)
        self._held.clear()
        there = ref(self)
        entry = self.room.ledger.reserve(self.name, Use.WEIGHTS, placing.nbytes, lambda: _leave(there))
        entry.cost = self.room.cost(placing.nbytes)
        self._held.append(entry)
        self.placing = placing
        return entry

    def leave(self) -> None:
        """Give all bytes back and have nothing on the device."""
        self.residency.leave()
        for kept in list(self.beside):
            kept.clear()
        _release(self._held)
        self._held.clear()
        self.placing = None

    def forget(self) -> None:
        """Leave, and know nothing of the net any more: its weights are about to become others."""
        self.leave()
        self.traces.clear()
        self._layouts.clear()

    def cut(self, net: nn.Module, key: Hashable, trace: Trace | None, bounds: tuple[int, int]) -> Layout:
        """The layout for work, the same object every time."""
        if key not in self._layouts:
            self._layouts[key] = layout(net, trace, bounds)
        return self._layouts[key]


def _release(held: list[Reservation]) -> None:
    for entry in held:
        entry.release()


def _leave(there: ref[Tenant]) -> None:
    tenant = there()
    if tenant is not None:
        tenant.leave()


class Room:
    """The memory of `device`: `limit` bytes of it (None: what is free), less `reserve` that others may need."""

    def __init__(
        self,
        device: Device,
        limit: int | None = None,
        *,
        reserve: int = 0,
        policy: VramPolicy = "normal",
        rate: float = RATE,
        bounds: tuple[int, int] = GROUP_BYTES,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.device = device
        self.rate = rate
        self.note = note
        self.estimates = Estimates()
        self.out_of_memory = 0
        """How often memory ran out, and work was done again."""
        self.hooked = 0
        self.whole = 0
        """How often nets computed with weights that came and went, and as if there was nothing to it."""
        self._limit = limit
        self._reserve = reserve
        self._policy = policy
        self._bounds = bounds
        self._traces: dict[Hashable, Trace | None] = {}
        self.ledger = Ledger(device.name, self._available())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A block in which nets that compute on the device do so in this room."""
        self.refresh()
        token = ROOM.set(self)
        try:
            yield
        finally:
            ROOM.reset(token)

    def refresh(self) -> None:
        """See how much memory other programs left; what is idle goes if it became less. For between two jobs."""
        self.ledger.shrink(self._available())

    def clear(self) -> None:
        """Take everything off the device that nobody uses."""
        self.ledger.evict_idle()
        self.device.empty_cache()

    def cost(self, nbytes: int) -> float:
        """Seconds that the loss of so many bytes of weights is expected to cost."""
        return nbytes / self.rate * (KEEP if self._policy == "high" else NEXT_USE)

    def run(self, tenant: Tenant, net: Net, work: Work, compute: Callable[[Net, Given], T]) -> T:
        """`compute` with `net` placed as planned; again with less at once whenever memory runs out.

        It must begin at its beginning each time. Raises `NoRoomError` if not even the smallest mode fits.
        """
        if tenant.active:  # work within work on the same net
            return compute(net, ALL)
        for rung in range(2 * RUNGS):
            with suppress(torch.OutOfMemoryError):
                return self._attempt(tenant, net, work, compute, rung)
            self.out_of_memory += 1
            self.estimates.too_low((tenant.number, work.key))
            tenant.leave()
            if rung:
                gc.collect()  # frames of the failure may hold on to tensors in circles
            self.clear()
            self.note(f"{tenant.name}: memory ran out; that is done again with less at once")
        least = smallest(self._demand(tenant, net, work, raw=True)[0])
        raise NoRoomError(tenant.name, max(least, self.ledger.limit + 1), self.ledger.limit)

    @contextmanager
    def leased(self, tenant: Tenant, net: nn.Module) -> Iterator[None]:
        """The net placed for work that nobody described: what runs out of memory then is not repeated."""
        if tenant.active:
            yield
            return
        with self._placed(tenant, net, Work(), 0):
            yield

    def _attempt(self, tenant: Tenant, net: Net, work: Work, compute: Callable[[Net, Given], T], rung: int) -> T:
        with self._placed(tenant, net, work, rung) as mode:
            before, uploads = self.device.figures().used, tenant.residency.uploads
            self.device.reset_peak()
            result = self._computed(net, compute, Given(mode.rows if mode.rows < work.rows else None, mode.tile))
            peak = self.device.peak()
            self.device.landed(result)
            known = uploads == tenant.residency.uploads and mode.tile is None and not work.changed
            if peak is not None and mode.whole and known:
                self.estimates.measured((tenant.number, work.key), (peak - before) // mode.rows)
            return result

    def _computed(self, net: Net, compute: Callable[[Net, Given], T], given: Given) -> T:
        """What `compute` makes; other nets that it asks for and that find no room beside this one are no end of it."""
        try:
            return compute(net, given)
        except NoRoomError as error:
            raise torch.OutOfMemoryError(str(error)) from None

    @contextmanager
    def _placed(self, tenant: Tenant, net: nn.Module, work: Work, rung: int) -> Iterator[Mode]:
        mode, placing = self._planned(tenant, net, work, rung)
        if placing.hooks and wanted():  # what a gradient goes back through must still be there
            nbytes = sum(weight.nbytes for weight in net.state_dict().values())
            raise NoRoomError(tenant.name, nbytes + mode.activations, self.ledger.limit)
        if work.beside is not None:
            tenant.beside.add(work.beside)
        with ExitStack() as stack:
            stack.enter_context(tenant.place(placing).lease())
            activations = self.ledger.reserve(tenant.name, Use.ACTIVATIONS, mode.activations)
            stack.callback(activations.release)
            if placing.hooks:
                self.hooked += 1
                streamed = tenant.residency.streamed(placing.layout, placing.resident, placing.slots)
                stack.enter_context(streamed)
            else:
                self.whole += 1
                tenant.residency.bring()
            stack.callback(keep_nothing, net)
            stack.enter_context(self.device.computing())
            stack.enter_context(computing())
            yield mode

    def _planned(self, tenant: Tenant, net: nn.Module, work: Work, rung: int) -> tuple[Mode, Placing]:
        demand, cut = self._demand(tenant, net, work)
        reserved = tenant.reserved
        others = [entry for entry in self.ledger.idle() if entry is not reserved]
        free = self.ledger.free + (0 if reserved is None else reserved.nbytes)
        allowed = self._allowed(demand, free, rung)
        everything = (True,) * len(demand.groups)
        nbytes = sum(weight.nbytes for weight in (*net.parameters(), *net.buffers())) + work.changed
        whole = Placing(cut, everything, 0, nbytes, hooks=False)
        if nbytes + demand.rows * demand.row_bytes <= allowed:
            return Mode((), demand.rows, None, everything, nbytes, 0, demand.rows * demand.row_bytes), whole
        idle = [Idle(str(place), entry.nbytes, entry.cost) for place, entry in enumerate(others)]
        try:
            mode = plan(demand, Budget(allowed, self.rate), idle)
        except NoRoomError:  # less than an estimate with its margin may do, which is better than nothing
            demand, cut = self._demand(tenant, net, work, raw=True)
            least = smallest(demand) + max(demand.groups, default=0)
            mode = plan(demand, Budget(min(free, least), self.rate), idle)
        possible = allowed + sum(other.nbytes for other in idle if other.name in mode.evict)
        if mode.whole and nbytes + mode.activations <= possible:
            return mode, whole
        window = max((g.nbytes for g, stays in zip(cut.groups, mode.resident, strict=True) if not stays), default=0)
        slots = SLOTS if mode.staging >= SLOTS * window else 1
        return mode, Placing(cut, mode.resident, slots, mode.weights + mode.staging, hooks=True)

    def _allowed(self, demand: Demand, free: int, rung: int) -> int:
        least = smallest(demand)
        if rung >= RUNGS or self._policy == "none":
            return min(free, least + max(demand.groups, default=0))
        return min(free, max(least, self.ledger.limit // 2)) if self._policy == "low" else free

    def _demand(self, tenant: Tenant, net: nn.Module, work: Work, *, raw: bool = False) -> tuple[Demand, Layout]:
        trace = self._trace(tenant, net, work, None)
        cut = tenant.cut(net, work.key, trace, self._bounds)
        factor = 1.0 if raw else self.estimates.factor((tenant.number, work.key))
        traces = [(side, times, self._trace(tenant, net, work, side)) for side, times, _ in work.tiles]
        tiles = tuple(Tile(side, int(found.peak * factor), times) for side, times, found in traces if found is not None)
        unknown = 0 if raw else work.nbytes  # a guess: less may do
        row = int((unknown if trace is None else trace.peak + work.row_bytes) * factor)
        groups = tuple(group.nbytes for group in cut.groups)
        answers = 2 * work.rows * trace.answer if trace and work.rows > 1 else 0  # of several calls, and put together
        return Demand(tenant.name, groups, cut.fixed_bytes + answers, work.rows, row, tiles, once=work.once), cut

    def _trace(self, tenant: Tenant, net: nn.Module, work: Work, tile: int | None) -> Trace | None:
        if work.compute is None:
            return None
        if (work.key, tile) not in tenant.traces:
            inputs = work.inputs if tile is None else next(found for side, _, found in work.tiles if side == tile)
            tenant.traces[work.key, tile] = found = _traced(net, work.compute, inputs)
            if tile is None and found is not None:
                peak = found.peak + work.row_bytes
                self.estimates.bytes((tenant.number, work.key), lambda: peak)
        return tenant.traces[work.key, tile]

    def _available(self) -> int:
        figures = self.device.figures()
        free = figures.free + figures.held
        return max(0, (free if self._limit is None else min(self._limit, free)) - self._reserve)


def _traced(net: nn.Module, compute: Callable[..., object], inputs: tuple[object, ...]) -> Trace | None:
    """None for what decides by data, or holds tensors that nobody knows of."""
    with suppress(Exception), ExitStack() as stack:
        stack.callback(keep_nothing, net)
        return traced(net, compute, *inputs)
    return None


ROOM: ContextVar[Room | None] = ContextVar("room", default=None)
"""The room of the run that goes on; None: weights simply go to their device."""
