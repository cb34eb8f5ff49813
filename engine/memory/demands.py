"""What work on a net asks of a device, from traces without memory, what runs took, and how fast the device is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import ExitStack, suppress

from torch import nn

from engine.memory.casting import keep_nothing
from engine.memory.changed import Changed, Size, Sizes
from engine.memory.estimate import Estimates, Trace, traced
from engine.memory.groups import GROUP_BYTES, Group, Layout, aligned
from engine.memory.plan import Demand, Tile
from engine.memory.tenant import Tenant
from engine.memory.work import Work

EFFICIENCY = 0.5  # of a device's arithmetic that nets get where no run of them was measured


class Demands:
    """Makes demands of work; `bounds` are those of the bytes of groups."""

    def __init__(self, bounds: tuple[int, int] = GROUP_BYTES) -> None:
        self.estimates = Estimates()
        self._bounds = bounds
        self._sizes = Sizes()

    def of(
        self, tenant: Tenant, net: nn.Module, work: Work, changed: Changed, arithmetic: float, *, raw: bool = False
    ) -> tuple[Demand, Layout]:
        """What `work` asks for, on a device of `arithmetic` operations a second (0: unknown), and how the net is cut.

        `raw` is without the factors that runs taught, which may make it more than would do.
        """
        trace = self._trace(tenant, net, work, None)
        cut = tenant.cut(net, work.key, trace, self._bounds)
        remade = {name: self._sizes.of(weight, changed[name]) for name, weight in _named(net) if name in changed}
        factor = 1.0 if raw else self.estimates.factor(key_of(tenant, work))
        unknown = 0 if raw else work.nbytes  # a guess: less may do
        row = int((unknown if trace is None else trace.peak + work.row_bytes) * factor)
        answers = 2 * work.rows * trace.answer if trace and work.rows > 1 else 0  # of several calls, and put together
        fixed = sum(remade[name].nbytes for name in cut.fixed if name in remade)
        demand = Demand(
            tenant.name,
            tuple(_bytes(group, remade) for group in cut.groups),
            max(cut.fixed_bytes, fixed) + answers,
            work.rows,
            row,
            self._tiles(tenant, net, work, raw=raw),
            self._seconds(tenant, work, trace, arithmetic),
            once=work.once,
            repeats=work.repeats,
            remaking=max((size.extra for size in remade.values()), default=0),
            shares=_shares(cut, trace),
        )
        return demand, cut

    def whole(self, net: nn.Module, changed: Changed) -> int:
        """Bytes of all weights and buffers when they are changed."""
        return sum(
            self._sizes.of(tensor, changed[name]).nbytes if name in changed else tensor.nbytes
            for name, tensor in (*net.named_parameters(), *net.named_buffers())
        )

    def measured(self, tenant: Tenant, work: Work, tile: int | None, nbytes: int, rows: int) -> None:
        """A run took so many bytes at the most beside weights, for `rows` rows, or for a tile."""
        self.estimates.measured(key_of(tenant, work, tile), nbytes // rows)

    def too_low(self, tenant: Tenant, work: Work, tile: int | None) -> None:
        """A run did not fit although the plan said so."""
        self.estimates.too_low(key_of(tenant, work, tile))

    def _tiles(self, tenant: Tenant, net: nn.Module, work: Work, *, raw: bool) -> tuple[Tile, ...]:
        tiles = []
        for side, times, _ in work.tiles:
            found = self._trace(tenant, net, work, side)
            if found is not None:
                factor = 1.0 if raw else self.estimates.factor(key_of(tenant, work, side))
                tiles.append(Tile(side, int(found.peak * factor), times))
        return tuple(tiles)

    def _seconds(self, tenant: Tenant, work: Work, trace: Trace | None, arithmetic: float) -> float:
        known = tenant.seconds.get(work.key)
        if known is not None:
            return known * work.rows
        return work.rows * trace.flops / (arithmetic * EFFICIENCY) if trace is not None and arithmetic else 0.0

    def _trace(self, tenant: Tenant, net: nn.Module, work: Work, tile: int | None) -> Trace | None:
        if work.compute is None:
            return None
        if (work.key, tile) not in tenant.traces:
            inputs = work.inputs if tile is None else next(found for side, _, found in work.tiles if side == tile)
            tenant.traces[work.key, tile] = found = _traced(net, work.compute, inputs)
            if found is not None:
                peak = found.peak + (work.row_bytes if tile is None else 0)
                self.estimates.bytes(key_of(tenant, work, tile), lambda: peak)
        return tenant.traces[work.key, tile]


def key_of(tenant: Tenant, work: Work, tile: int | None = None) -> Hashable:
    """What estimates are known by."""
    return tenant.number, work.key, tile


def _named(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(net.named_parameters(remove_duplicate=False))


def _bytes(group: Group, remade: dict[str, Size]) -> int:
    """Bytes of a group, in a window or resident and changed, whatever is more."""
    changed = {slot.name: remade[slot.name].nbytes for slot in group.slots if slot.name in remade}
    return max(group.nbytes, sum(aligned(changed.get(slot.name, slot.nbytes)) for slot in group.slots))


def _shares(cut: Layout, trace: Trace | None) -> tuple[float, ...]:
    """The share of each group in the arithmetic; none if it is unknown."""
    if trace is None or not trace.flops:
        return ()
    per_group = [sum(trace.flops_after.get(slot.name, 0) for slot in group.slots) for group in cut.groups]
    return tuple(flops / trace.flops for flops in per_group)


def _traced(net: nn.Module, compute: Callable[..., object], inputs: tuple[object, ...]) -> Trace | None:
    """None for what decides by data, or holds tensors that nobody knows of."""
    with suppress(Exception), ExitStack() as stack:
        stack.callback(keep_nothing, net)
        return traced(net, compute, *inputs)
    return None
