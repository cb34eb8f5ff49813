"""How a net is to compute within the bytes there are: a pure function of what it wants and what there is.

Ways to need less are weighed by the seconds they cost. Everything fits: nothing is done. Else others that are idle go,
rows take several calls, pictures are cut into tiles, or a part of the weights is streamed through a small window while
the rest stays. Weights of `W` bytes over a bus of `R` bytes a second do not slow a forward of `C` seconds down as long
as the share `r = 1 - C * R / W` of them is resident. Last, weights are held in a smaller type, if the user allows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.memory.ledger import NoRoomError
from engine.memory.pace import pace, spread

SLOTS = 2  # of the staging ring: the group that is computed on, and the one ahead
SPLIT_COST = 0.03  # of a forward's seconds for each call more: kernels fill a device less well
WINDOWS = 4  # sizes of the staging window that are tried


@dataclass(frozen=True, slots=True)
class Tile:
    """Pictures cut into tiles of `side` cells: bytes of activations then, and how many times the work there is."""

    side: int
    nbytes: int
    work: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What a net wants to compute.

    `groups` are the bytes of its weights by group in the order of execution, `fixed` those that must be resident.
    `rows` of `row_bytes` of activations each go through it, in `seconds` if nothing is in the way (0: unknown). Where
    `tiles` are given, largest first, pictures may be cut. A net that computes `once` and is not needed again soon is
    loaded just as fast through a window. `smaller` are shares of the weights' bytes in types that the user allows.
    `remaking` bytes are needed while a weight is changed. `shares` are those of the groups in `seconds` (none: as in
    the bytes). It is about to be asked for `repeats` times, over which the cost of having others go is spread.
    """

    name: str
    groups: tuple[int, ...]
    fixed: int = 0
    rows: int = 1
    row_bytes: int = 0
    tiles: tuple[Tile, ...] = ()
    seconds: float = 0.0
    once: bool = False
    smaller: tuple[float, ...] = ()
    remaking: int = 0
    shares: tuple[float, ...] = ()
    repeats: int = 1

    @property
    def weights(self) -> int:
        """Bytes of all weights."""
        return self.fixed + sum(self.groups)


@dataclass(frozen=True, slots=True)
class Idle:
    """Weights that nobody uses now: their bytes, and the seconds their loss is expected to cost."""

    name: str
    nbytes: int
    cost: float


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes that are free, and how weights get there: `rate` bytes a second, beside computing if it `overlaps`."""

    free: int
    rate: float = 10e9
    overlaps: bool = False


@dataclass(frozen=True, slots=True)
class Mode:
    """How to compute: who goes first, rows a call, tiles (None: whole), which groups stay, and the bytes of it all.

    `share` is what the weights shrink to by a smaller type, 1 for none; `seconds` are what the planner expects.
    """

    evict: tuple[str, ...]
    rows: int
    tile: int | None
    resident: tuple[bool, ...]
    weights: int
    staging: int
    activations: int
    share: float = 1.0
    seconds: float = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of everything."""
        return self.weights + self.staging + self.activations

    @property
    def whole(self) -> bool:
        """Whether all weights are resident."""
        return all(self.resident)


def plan(demand: Demand, budget: Budget, idle: Sequence[Idle] = ()) -> Mode:
    """The mode that costs the fewest seconds. Raises `NoRoomError` with the bytes of the smallest there is."""
    at_once = _whole(demand, demand.rows, None, budget)
    if at_once is not None:
        return at_once
    modes = list(_modes(demand, budget, idle))
    for share in () if modes else demand.smaller:
        narrow = replace(demand, groups=tuple(int(nbytes * share) for nbytes in demand.groups))
        modes = [replace(mode, share=share) for mode in _modes(narrow, budget, idle)]
        if modes:
            break
    if not modes:
        raise NoRoomError(demand.name, smallest(demand), budget.free + sum(other.nbytes for other in idle))
    return min(modes, key=lambda mode: (mode.seconds, len(mode.evict)))


def smallest(demand: Demand) -> int:
    """Bytes of the smallest mode: one row or the smallest tile, and a window for the largest group.

    What is streamed is changed beside what is computed with it.
    """
    share = min((*demand.smaller, 1.0))
    activations = min([demand.row_bytes, *(tile.nbytes for tile in demand.tiles)])
    return (
        demand.fixed + activations + demand.remaking + max((int(nbytes * share) for nbytes in demand.groups), default=0)
    )


def with_activations(demand: Demand, factor: float) -> Demand:
    """The same where activations take `factor` times as much."""
    tiles = tuple(replace(tile, nbytes=int(tile.nbytes * factor)) for tile in demand.tiles)
    return replace(demand, row_bytes=int(demand.row_bytes * factor), tiles=tiles)


def free_share(demand: Demand, budget: Budget) -> float:
    """The share of the weights that has to be resident for streaming the rest to cost nothing: 1 - C * R / W."""
    if not budget.overlaps or not demand.weights:
        return 1.0
    return max(0.0, 1 - demand.seconds * budget.rate / demand.weights)


def _modes(demand: Demand, budget: Budget, idle: Sequence[Idle]) -> Iterator[Mode]:
    """Every way that fits, with its seconds."""
    order = sorted(idle, key=lambda other: other.cost)
    cuts: list[Tile | None] = [None, *demand.tiles]
    for count in range(len(order) + 1):
        gone = order[:count]
        free = replace(budget, free=budget.free + sum(other.nbytes for other in gone))
        names, cost = tuple(other.name for other in gone), sum(other.cost for other in gone) / demand.repeats
        for rows in sorted({-(-demand.rows // calls) for calls in range(1, demand.rows + 1)}, reverse=True):
            for cut in cuts:
                mode = _whole(demand, rows, cut, free) or _streamed(demand, rows, cut, free)
                if mode is not None:
                    yield replace(mode, evict=names, seconds=mode.seconds + cost)


def _activations(demand: Demand, rows: int, cut: Tile | None) -> int:
    return rows * demand.row_bytes if cut is None else cut.nbytes


def _seconds(demand: Demand, rows: int, cut: Tile | None, streamed: int, budget: Budget) -> float:
    """Seconds of all calls, with the weights that have to be streamed for each of them."""
    calls = -(-demand.rows // rows)
    computing = demand.seconds / calls * (1 + SPLIT_COST * (calls - 1)) * (1.0 if cut is None else cut.work)
    transfer = streamed / budget.rate
    if demand.once:  # it has to come over the bus in any case
        transfer *= 1 - 1 / calls
    # a little for what seconds do not tell, as where they are unknown: fewer calls and no tiles are better
    bother = 1e-6 * (calls - 1) + (0.0 if cut is None else 1e-5 * cut.work)
    return calls * (max(computing, transfer) if budget.overlaps else computing + transfer) + bother


def _whole(demand: Demand, rows: int, cut: Tile | None, budget: Budget) -> Mode | None:
    activations = max(_activations(demand, rows, cut), demand.remaking)
    if demand.weights + activations > budget.free:
        return None
    side = None if cut is None else cut.side
    seconds = _seconds(demand, rows, cut, 0, budget)
    return Mode((), rows, side, (True,) * len(demand.groups), demand.weights, 0, activations, seconds=seconds)


def _streamed(demand: Demand, rows: int, cut: Tile | None, budget: Budget) -> Mode | None:
    """As many groups resident as fit beside the activations and the window, which large groups may make too large."""
    activations = _activations(demand, rows, cut) + demand.remaking
    best: Mode | None = None
    for slots in (SLOTS, 1):
        for window in sorted(set(demand.groups), reverse=True)[:WINDOWS]:
            large = sum(nbytes for nbytes in demand.groups if nbytes > window)
            allowed = budget.free - activations - demand.fixed - slots * window - large
            if allowed < 0:
                continue
            for resident in _residents(demand, window, allowed):
                kept = sum(nbytes for nbytes, stays in zip(demand.groups, resident, strict=True) if stays)
                ahead = replace(budget, overlaps=budget.overlaps and slots > 1)
                seconds = _seconds(demand, rows, cut, sum(demand.groups) - kept, ahead)
                if best is not None and seconds >= best.seconds:
                    continue
                if ahead.overlaps and demand.seconds and not demand.once:
                    seconds = _paced(demand, rows, cut, resident, budget.rate, seconds)
                if best is None or seconds < best.seconds:
                    side = None if cut is None else cut.side
                    weights = demand.fixed + kept
                    best = Mode((), rows, side, resident, weights, slots * window, activations, seconds=seconds)
        if best is not None:
            return best
    return None


def _residents(demand: Demand, window: int, allowed: int) -> Iterator[tuple[bool, ...]]:
    """Ways to keep `allowed` bytes of the groups that fit into a window: by bytes, by computing, and in between."""
    small = [nbytes <= window for nbytes in demand.groups]
    sizes = [nbytes for nbytes, fits in zip(demand.groups, small, strict=True) if fits]
    shares = [share for share, fits in zip(demand.shares, small, strict=False) if fits]
    ways = [()] if not sum(shares) else [_mixed(sizes, shares, part) for part in (1.0, 0.5, 0.0)]
    for way in dict.fromkeys(ways):
        others = iter(spread(sizes, allowed, way))
        yield tuple(not fits or next(others) for fits in small)


def _mixed(sizes: Sequence[int], shares: Sequence[float], part: float) -> tuple[float, ...]:
    bytes_in_all, computing = sum(sizes), sum(shares)
    pairs = zip(sizes, shares, strict=True)
    return tuple(part * share / computing + (1 - part) * nbytes / bytes_in_all for nbytes, share in pairs)


def _paced(demand: Demand, rows: int, cut: Tile | None, resident: tuple[bool, ...], rate: float, ideal: float) -> float:
    """Seconds with what has to be waited for because groups are uneven; never less than the `ideal` ones."""
    calls = -(-demand.rows // rows)
    computing = demand.seconds / calls * (1 + SPLIT_COST * (calls - 1)) * (1.0 if cut is None else cut.work)
    shares = demand.shares or tuple(nbytes / sum(demand.groups) for nbytes in demand.groups)
    seconds = [share * computing for share in shares]
    return max(ideal, calls * pace(demand.groups, seconds, resident, SLOTS, rate))
