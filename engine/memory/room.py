"""The memory of one device as nets share it: who is there, who has to go, and what happens when it was not enough.

Work on a net is planned, its bytes are reserved, its weights are put where the plan says, and then it runs. What runs
out of memory all the same is repeated from its beginning, each time with less at once: work is a pure function of its
inputs, so nothing is lost but time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TypeVar
from weakref import WeakSet

import psutil
import torch
from torch import nn

from engine.foundation.settings import VramPolicy
from engine.memory.casting import keep_nothing
from engine.memory.changed import UNCHANGED, Changed, Changes
from engine.memory.demands import Demands
from engine.memory.device import Device, refusing
from engine.memory.estimate import MARGIN
from engine.memory.gradients import computing, wanted
from engine.memory.groups import GROUP_BYTES, Layout
from engine.memory.ledger import Ledger, NoRoomError, Use
from engine.memory.plan import SLOTS, Budget, Demand, Idle, Mode, plan, smallest, with_activations
from engine.memory.rates import Rates, measured
from engine.memory.tenant import Placing, Tenant
from engine.memory.transfer import Pinned
from engine.memory.work import ALL, Given, Work

Net = TypeVar("Net", bound=nn.Module)
T = TypeVar("T")

NEXT_USE = 0.5  # how likely idle weights are wanted again, where nobody knows
KEEP = 1e6  # as if it were certain many times over: for people who want models to stay
RUNGS = 4  # plans that are tried with ever higher estimates before the smallest mode, which is tried as often
TWICE = 2.0  # times the estimate is what people are told of where a run took more than that
LAST_RUNG = 2 * RUNGS - 1
PLANS = 64  # that are remembered
PINNED_SHARE = 0.5  # of the host's free memory that may be pinned


class Room:
    """The memory of `device`: `limit` bytes of it (None: what is free), less `reserve` that others may need.

    Its `rates` are measured when they are first needed, unless they are given. At most `pinned` bytes of the host are
    locked for copies (None: half of what is free).
    """

    def __init__(
        self,
        device: Device,
        limit: int | None = None,
        *,
        reserve: int = 0,
        policy: VramPolicy = "normal",
        rates: Rates | None = None,
        bounds: tuple[int, int] = GROUP_BYTES,
        pinned: int | None = None,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.device = device
        self.note = note
        self.upcoming: Callable[[], Iterable[Tenant]] = tuple
        """Tells who will compute next, as far as that is known, the soonest first."""
        self.demands = Demands(bounds)
        self.out_of_memory = 0
        """How often memory ran out, and work was done again."""
        self.hooked = 0
        self.whole = 0
        """How often nets computed with weights that came and went, and as if there was nothing to it."""
        self.planned = 0
        """Bytes of the latest work as planned: weights, windows and activations."""
        self._limit = limit
        self._reserve = reserve
        self._policy = policy
        self._rates = rates
        self._pinned_limit = pinned
        self._plans: dict[tuple[Demand, Budget, tuple[Idle, ...]], Mode] = {}
        self._tenants: WeakSet[Tenant] = WeakSet()
        self.ledger = Ledger(device.name, self._available())
        self.pinned: Pinned | None = None
        if device.can.streams and device.can.pinned:
            self.pinned = Pinned(device, 0)
            self.pinned.shrink(self._lockable())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A block in which nets that compute on the device do so in this room."""
        self.refresh()
        token = ROOM.set(self)
        try:
            yield
        finally:
            self.upcoming = tuple  # it may hold on to what ran
            ROOM.reset(token)

    def tenant(self, net: nn.Module) -> Tenant:
        """A place in the room for a net."""
        made = Tenant(net, self.device, self.ledger, self.pinned)
        self._tenants.add(made)
        return made

    def refresh(self) -> None:
        """See how much memory other programs left; what is idle goes if it became less. For between two jobs."""
        self.ledger.shrink(self._available())
        if self.pinned is not None:
            self.pinned.shrink(self._lockable())

    def clear(self) -> None:
        """Take everything off the device that nobody uses."""
        self.ledger.evict_idle()
        self.device.empty_cache()

    @property
    def rates(self) -> Rates:
        """How fast the device is."""
        if self._rates is None:
            try:
                self._rates = measured(self.device)
            except torch.OutOfMemoryError:  # it is full to the brim
                return Rates()
        return self._rates

    def run(
        self, tenant: Tenant, net: Net, work: Work, compute: Callable[[Net, Given], T], changes: Changes | None = None
    ) -> T:
        """`compute` with `net`, its weights changed, placed as planned; again with less at once if memory runs out.

        It must begin at its beginning each time. Raises `NoRoomError` if not even the smallest mode fits.
        """
        changed = UNCHANGED if changes is None else changes.of(net)
        if tenant.active:  # work within work on the same net
            if changed != tenant.changed:
                raise RuntimeError(f"{tenant.name} is computed with already, with other weights")
            return compute(net, ALL)
        rung = 0
        while rung <= LAST_RUNG:
            try:
                return self._attempt(tenant, net, work, compute, changed, rung)
            except _NoRoomBesideError as found:
                if found.needed > tenant.beside.get(work.key, 0):
                    tenant.beside[work.key] = found.needed
                    continue
            except torch.OutOfMemoryError:
                pass
            rung += 1
            self.out_of_memory += 1
            tenant.leave()
            if rung > 1:
                gc.collect()  # frames of the failure may hold on to tensors in circles
            self.clear()
            self.note(f"{tenant.name}: memory ran out; that is done again with less at once")
        raise NoRoomError(tenant.name, self._beyond(tenant, net, work, changed), self.ledger.limit)

    def least(self, tenant: Tenant, net: nn.Module, work: Work, changed: Changed = UNCHANGED) -> int:
        """The bytes that people are told of where there are too few for work: of the smallest mode, with a margin."""
        demand = self._demand(tenant, net, work, changed, raw=True)[0]
        beside = max((tenant.beside.get(work.key, 0), *work.asks()))
        return smallest(with_activations(demand, MARGIN)) + beside

    @contextmanager
    def leased(self, tenant: Tenant, net: nn.Module) -> Iterator[None]:
        """The net placed for work that nobody described: what runs out of memory then is not repeated."""
        if tenant.active:
            yield
            return
        mode, placing = self._planned(tenant, net, Work(), UNCHANGED, 0)
        with self._placed(tenant, net, mode, placing, UNCHANGED):
            yield

    def _attempt(
        self,
        tenant: Tenant,
        net: Net,
        work: Work,
        compute: Callable[[Net, Given], T],
        changed: Changed,
        rung: int,
    ) -> T:
        mode, placing = self._planned(tenant, net, work, changed, rung)
        self.planned = placing.nbytes + mode.activations
        try:
            with refusing(), self._placed(tenant, net, mode, placing, changed):
                before, uploads = self.device.figures().used, tenant.residency.uploads
                self.device.reset_peak()
                begin = perf_counter()
                result = _computed(net, compute, Given(mode.rows if mode.rows < work.rows else None, mode.tile))
                seconds, peak = perf_counter() - begin, self.device.peak()
                self.device.landed(result)
                if uploads == tenant.residency.uploads and not (changed and placing.hooks):
                    self._learn(tenant, work, mode, seconds, None if peak is None else peak - before)
                return result
        except torch.OutOfMemoryError:
            self.demands.too_low(tenant, work, mode.tile)
            raise

    def _learn(self, tenant: Tenant, work: Work, mode: Mode, seconds: float, peak: int | None) -> None:
        """Note what work took, for which nothing had to be brought: seconds, and bytes beside weights."""
        if peak is not None:
            self.demands.measured(tenant, work, mode.tile, peak, mode.rows)
        if mode.whole and mode.tile is None and self.device.can.streams:
            known = tenant.seconds.get(work.key, seconds)
            tenant.seconds[work.key] = min(known, seconds / work.rows)

    @contextmanager
    def _placed(self, tenant: Tenant, net: nn.Module, mode: Mode, placing: Placing, changed: Changed) -> Iterator[None]:
        if placing.hooks and wanted():  # what a gradient goes back through must still be there
            nbytes = sum(weight.nbytes for weight in net.state_dict().values())
            raise NoRoomError(tenant.name, nbytes + mode.activations, self.ledger.limit)
        with ExitStack() as stack:
            stack.enter_context(tenant.place(placing).lease())
            activations = self.ledger.reserve(tenant.name, Use.ACTIVATIONS, mode.activations)
            stack.callback(activations.release)
            self.hooked += placing.hooks
            self.whole += not placing.hooks
            stack.enter_context(tenant.settled(placing, changed))
            stack.callback(keep_nothing, net)
            stack.enter_context(self.device.computing())
            stack.enter_context(computing())
            yield

    def _planned(self, tenant: Tenant, net: nn.Module, work: Work, changed: Changed, rung: int) -> tuple[Mode, Placing]:
        demand, cut = self._demand(tenant, net, work, changed)
        reserved = tenant.reserved
        beside = tenant.beside.get(work.key, 0)
        free = self.ledger.free + (0 if reserved is None else reserved.nbytes) - beside
        allowed = self._allowed(demand, free, rung)
        everything, nbytes = (True,) * len(demand.groups), self.demands.whole(net, changed)
        whole = Placing(cut, everything, 0, nbytes, hooks=False)
        activations = max(demand.rows * demand.row_bytes, demand.remaking)
        if nbytes + activations <= allowed:
            return Mode((), demand.rows, None, everything, nbytes, 0, activations), whole
        self._appraise()
        others = [entry for entry in self.ledger.idle() if entry is not reserved]
        idle = [Idle(str(place), entry.nbytes, entry.cost) for place, entry in enumerate(others)]
        try:
            mode = self._plan(demand, allowed, idle)
        except NoRoomError:  # less than an estimate with its margin may do, which is better than nothing
            demand, cut = self._demand(tenant, net, work, changed, raw=True)
            try:
                mode = self._plan(demand, min(free, self._narrowest(demand, rung)), idle)
            except NoRoomError as error:
                needed = self.least(tenant, net, work, changed)
                raise NoRoomError(tenant.name, needed, error.possible + beside) from None
        possible = allowed + sum(other.nbytes for other in idle if other.name in mode.evict)
        if mode.whole and nbytes + mode.activations <= possible:
            return mode, whole
        window = max((g.nbytes for g, stays in zip(cut.groups, mode.resident, strict=True) if not stays), default=0)
        slots = SLOTS if mode.staging >= SLOTS * window else 1
        return mode, Placing(cut, mode.resident, slots, mode.weights + mode.staging, hooks=True)

    def _allowed(self, demand: Demand, free: int, rung: int) -> int:
        if rung >= RUNGS or self._policy == "none":
            return min(free, self._narrowest(demand, rung))
        return min(free, max(smallest(demand), self.ledger.limit // 2)) if self._policy == "low" else free

    def _narrowest(self, demand: Demand, rung: int) -> int:
        """Bytes of the smallest mode with a window of two groups; without the second one when nothing else helped."""
        return smallest(demand) + (0 if rung == LAST_RUNG else max(demand.groups, default=0))

    def _beyond(self, tenant: Tenant, net: nn.Module, work: Work, changed: Changed) -> int:
        """What to try where the smallest mode ran out of memory: its activations are more than estimated."""
        demand = self._demand(tenant, net, work, changed, raw=True)[0]
        beside = tenant.beside.get(work.key, 0)
        estimate = min([demand.row_bytes, *(tile.nbytes for tile in demand.tiles)]) or work.nbytes
        return max(smallest(with_activations(demand, TWICE)) + beside, self.ledger.limit + estimate)

    def _plan(self, demand: Demand, free: int, idle: list[Idle]) -> Mode:
        """What `plan` says, which is the same from step to step."""
        asked = (demand, Budget(free, self.rates.bus, overlaps=self.device.can.streams), tuple(idle))
        if asked not in self._plans:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            self._plans[asked] = plan(*asked)
        return self._plans[asked]

    def _demand(
        self, tenant: Tenant, net: nn.Module, work: Work, changed: Changed, *, raw: bool = False
    ) -> tuple[Demand, Layout]:
        known = self._rates.arithmetic if self._rates is not None else 0.0
        return self.demands.of(tenant, net, work, changed, known, raw=raw)

    def _appraise(self) -> None:
        """Say of what is idle how many seconds its loss is expected to cost: a load, if it is wanted again.

        Those who compute soon come before those who do later, and these before those of whom nothing is known.
        """
        places = {tenant: place for place, tenant in reversed(list(enumerate(self.upcoming())))}
        for tenant in list(self._tenants):
            entry = tenant.reserved
            if entry is not None:
                likely = NEXT_USE if tenant not in places else 1 + 1 / (1 + places[tenant])
                entry.cost = entry.nbytes / self.rates.bus * (KEEP if self._policy == "high" else likely)

    def _lockable(self) -> int:
        """Bytes of the host that may be pinned, those that are among them."""
        assert self.pinned is not None
        if self._pinned_limit is not None:
            return self._pinned_limit
        return int((psutil.virtual_memory().available + self.pinned.ledger.used) * PINNED_SHARE)

    def _available(self) -> int:
        figures = self.device.figures()
        free = figures.free - self.device.overhead + figures.held
        return max(0, (free if self._limit is None else min(self._limit, free)) - self._reserve)


class _NoRoomBesideError(Exception):
    """A net that is asked for while another one computes found no room beside that one; it takes `needed` bytes."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


def _computed(net: Net, compute: Callable[[Net, Given], T], given: Given) -> T:
    try:
        return compute(net, given)
    except NoRoomError as error:
        raise _NoRoomBesideError(error.needed) from None


ROOM: ContextVar[Room | None] = ContextVar("room", default=None)
"""The room of the run that goes on; None: weights simply go to their device."""
