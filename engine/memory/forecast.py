"""What a run would take of a device, without a byte of its memory: the plans of a room in which nothing is computed.

Nets have tensors that know their shapes and hold nothing (`nothing_of` makes them), and answer in kind. What leaves a
net is zeros of the right shape, so that whatever is computed with results on the host goes on as it would.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._pytree import tree_iter, tree_map

from engine.foundation.settings import VramPolicy
from engine.memory.changed import Changed, Changes
from engine.memory.device import SIMULATED, Capabilities, Device, MemoryFigures
from engine.memory.groups import GROUP_BYTES
from engine.memory.ledger import NoRoomError
from engine.memory.plan import Demand, Mode, smallest
from engine.memory.rates import Rates
from engine.memory.room import Room
from engine.memory.tenant import Placing, Tenant
from engine.memory.work import ALL, Given, Work

Net = TypeVar("Net", bound=nn.Module)
T = TypeVar("T")


class _Shapes(FakeTensorMode):  # type: ignore[no-untyped-call]
    """Computes shapes. A number that is asked for out of a tensor is 1, and what is asked whether it is so, is so."""

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation."""
        if func is torch.ops.aten._local_scalar_dense.default and isinstance(args[0], FakeTensor):
            return 1.0 if args[0].dtype.is_floating_point else args[0].dtype == torch.bool or 1
        return super().__torch_dispatch__(func, types, args, kwargs)


class ImaginedDevice(Device):
    """A device of `total` bytes that holds nothing and computes nothing; what is made there knows its shape only.

    With `streams` it is taken to copy beside computing.
    """

    def __init__(self, total: int, *, streams: bool = False) -> None:
        super().__init__(torch.device("cpu"), SIMULATED)
        self._total = total
        self._streams = streams
        self._mode = _Shapes()

    @property
    def can(self) -> Capabilities:
        """What it is taken to be able to do."""
        return Capabilities(own_memory=True, streams=self._streams)

    def figures(self) -> MemoryFigures:
        """All of its memory is free: what is reserved stands in the books alone."""
        return MemoryFigures(self._total, self._total)

    def empty(self, nbytes: int) -> Tensor:
        """`nbytes` that nothing can be in."""
        return self.nothing_of((nbytes,), torch.uint8)

    def nothing_of(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of a shape and type that holds nothing."""
        with self._mode:
            return torch.empty(shape, dtype=dtype)

    def computing(self) -> AbstractContextManager[object]:
        """A block in which shapes are computed."""
        return self._mode


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """Work on a net as it would be done `calls` times: its place in the run, what it asks for, and the mode.

    `weights` are the bytes of the net, `least` those without which it cannot be done. A mode of None: it does not fit.
    """

    place: str
    net: str
    weights: int
    demand: Demand
    least: int
    mode: Mode | None
    calls: int = 1

    @property
    def nbytes(self) -> int:
        """Bytes of the device in the chosen mode, or the least if there is none."""
        return self.least if self.mode is None else self.mode.nbytes

    @property
    def streamed(self) -> float:
        """The share of the weights that comes anew for each call."""
        if self.mode is None or self.mode.whole:
            return 0.0
        away = sum(n for n, stays in zip(self.demand.groups, self.mode.resident, strict=True) if not stays)
        return away / max(1, sum(self.demand.groups))


class Forecast(Room):
    """A room on an imagined device, which notes how work would be done. Set `place` to what asks for it."""

    def __init__(
        self,
        device: ImaginedDevice,
        limit: int | None = None,
        *,
        reserve: int = 0,
        policy: VramPolicy = "normal",
        rates: Rates | None = None,
        bounds: tuple[int, int] = GROUP_BYTES,
    ) -> None:
        super().__init__(device, limit, reserve=reserve, policy=policy, rates=rates or Rates(), bounds=bounds)
        self.place = ""
        self._planned_work: dict[Hashable, PlannedWork] = {}
        self._answers: dict[Hashable, tuple[object, object]] = {}
        self._around: list[int] = []  # the least bytes of work that the present one is done within
        self._least = 0

    def allow(self, limit: int) -> None:
        """Plan within `limit` bytes from now on, with nothing there yet."""
        self.clear()
        self._limit = limit
        self.refresh()

    @property
    def works(self) -> tuple[PlannedWork, ...]:
        """All that was planned so far, in order."""
        return tuple(self._planned_work.values())

    def run(
        self, tenant: Tenant, net: Net, work: Work, compute: Callable[[Net, Given], T], changes: Changes | None = None
    ) -> T:
        """Note how `compute` would be done, and give zeros for what it would make. Nothing fails for want of room."""

        def answered(net: Net, given: Given) -> T:
            self._around.append(self._least)
            try:
                with self._remembering(net):
                    return compute(net, given)
            finally:
                self._around.pop()

        with unset_fake_temporarily():  # work within work is traced and placed like any other
            try:
                result = super().run(tenant, net, work, answered, changes)
            except NoRoomError:
                with self.device.computing(), torch.inference_mode():
                    result = answered(net, ALL)
        return _zeros(result)

    def _learn(self, tenant: Tenant, work: Work, mode: Mode, seconds: float, peak: int | None) -> None:
        """Nothing: what was not computed teaches nobody."""

    def _planned(self, tenant: Tenant, net: nn.Module, work: Work, changed: Changed, rung: int) -> tuple[Mode, Placing]:
        demand = self._demand(tenant, net, work, changed, raw=True)[0]
        self._least = smallest(demand) + sum(self._around)
        mode: Mode | None = None
        try:
            planned = super()._planned(tenant, net, work, changed, rung)
            mode = planned[0]
            return planned
        finally:
            weights = sum(weight.nbytes for weight in (*net.parameters(), *net.buffers()))
            key = self.place, tenant.number, work.key, work.rows
            first = PlannedWork(self.place, tenant.name, weights, demand, self._least, mode, 0)
            known = self._planned_work.get(key, first)
            self._planned_work[key] = replace(known, calls=known.calls + 1)

    @contextmanager
    def _remembering(self, net: nn.Module) -> Iterator[None]:
        """A block in which the net answers calls of one shape once: all steps of a sampling are the same to us."""
        forward = net.forward

        def remembered(*inputs: Any, **options: Any) -> Any:
            patches = options.get("patches", ())
            shapes = ((tuple(t.shape), t.dtype) for t in tree_iter((inputs, options)) if isinstance(t, Tensor))
            key = (net, *(patch if isinstance(patch, Hashable) else id(patch) for patch in patches), *shapes)
            if key not in self._answers:
                self._answers[key] = forward(*inputs, **options), patches  # which keep their identities so
            return self._answers[key][0]

        net.forward = remembered
        try:
            yield
        finally:
            del net.forward


def _zeros(result: T) -> T:
    """`result` with zeros in place of tensors that hold nothing."""

    def real(value: Any) -> Any:
        return torch.zeros(value.shape, dtype=value.dtype) if isinstance(value, FakeTensor) else value

    zeros: T = tree_map(real, result)
    return zeros
