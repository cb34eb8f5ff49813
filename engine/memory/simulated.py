"""Memory of a device that there is not: tensors of the CPU, counted as the device's, and an end to them.

An operation is the device's if one of its inputs is, so whatever comes of uploaded weights is the device's, and what
the host computes with its own tensors is not counted. Like a real device it refuses to mix its tensors with weights
that were left on the host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self
from weakref import WeakValueDictionary, ref

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from engine.memory.counting import LiveBytes

_COPY = torch.ops.aten.copy_.default


class _Landing(TorchFunctionMode):
    """Makes `Tensor.cpu` a copy, which it is on a device but not where everything is the CPU's."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self._simulation = ref(simulation)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        simulation = self._simulation()
        if func is Tensor.cpu and simulation is not None:
            return simulation.landed(args[0])
        return func(*args, **(kwargs or {}))


class Simulation(LiveBytes):  # type: ignore[no-untyped-call]
    """A device's memory of `limit` bytes. `fail_at` makes the allocation of that number (from 1) fail, too."""

    def __init__(self, limit: int, fail_at: int | None = None) -> None:
        super().__init__()
        self.limit = limit
        self.fail_at = fail_at
        self.allocations = 0
        """How many there have been."""
        self._depth = 0
        self._landing = _Landing(self)
        self._host: WeakValueDictionary[int, torch.UntypedStorage] = WeakValueDictionary()

    def __enter__(self) -> Self:
        super().__enter__()  # type: ignore[no-untyped-call]
        if not self._depth:
            self._landing.__enter__()  # type: ignore[no-untyped-call]
        self._depth += 1
        return self

    def __exit__(self, *exception: Any) -> None:
        self._depth -= 1
        if not self._depth:
            self._landing.__exit__(*exception)  # type: ignore[no-untyped-call]
        super().__exit__(*exception)  # type: ignore[no-untyped-call]

    @property
    def entered(self) -> bool:
        """Whether operations are the device's now."""
        return self._depth > 0

    def counts(self, func: object, inputs: Sequence[Tensor]) -> bool:
        """Whether an operation with `inputs` is the device's; `RuntimeError` if it takes weights of the host too."""
        if func is _COPY and self.counted(inputs[1]) and inputs[0].untyped_storage()._cdata not in self._host:
            self.count(inputs[0])  # made without inputs, and the device's all along
        device = any(self.counted(tensor) for tensor in inputs)
        if device and func is not _COPY and any(tensor.untyped_storage()._cdata in self._host for tensor in inputs):
            raise RuntimeError("expected all tensors on the simulated device, found a weight that is on the host")
        return device

    def upload(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor of the host, with the same strides, that is the device's."""
        copy = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
        self.count(copy)
        return copy.copy_(tensor)

    def landed(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor of the device that is the host's."""
        if not self.counted(tensor):
            return tensor
        with _disable_current_modes():
            return tensor.clone()

    def leave(self, tensor: Tensor) -> None:
        """`tensor` is on the host: operations of the device cannot take it."""
        storage = tensor.untyped_storage()
        self._host[storage._cdata] = storage

    def charge(self, nbytes: int) -> None:
        """Take `nbytes`, or fail as torch's allocators do."""
        self.allocations += 1
        if self.allocations == self.fail_at or self.live + nbytes > self.limit:
            free = self.limit - self.live
            raise torch.OutOfMemoryError(f"simulated device: {nbytes} bytes wanted, {free} of {self.limit} free")
        super().charge(nbytes)
