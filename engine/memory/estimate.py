"""What an operation takes besides weights: traced once without memory, then corrected by what runs really took."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_map

from engine.memory.counting import LiveBytes

UNMEASURED = (
    1.3  # what an estimate is multiplied by before the first run: rounding of allocators, workspaces of kernels
)
MARGIN = 1.05  # beyond the largest that was measured: sizes in one bucket differ a little
META = torch.device("meta")


def traced_peak(net: nn.Module, compute: Callable[..., object], *inputs: object) -> int:
    """Bytes that are alive at the most while `compute` calls `net` on `inputs`, besides its weights.

    Nothing is computed: tensors have shapes only. Attention is taken to be fused. Data that decides what is computed cannot be traced and raises.
    """
    weights = {
        f"net.{name}": torch.empty_strided(weight.shape, weight.stride(), dtype=weight.dtype, device=META)
        for name, weight in (*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False))
    }
    with torch.inference_mode(), LiveBytes() as counted:
        functional_call(_Computed(net, compute), weights, tuple(tree_map(_shape, inputs)))
    peak: int = counted.peak
    return peak


class _Computed(nn.Module):
    """What is computed with a net as a module itself, whose weights can be replaced for one call."""

    def __init__(self, net: nn.Module, compute: Callable[..., object]) -> None:
        super().__init__()
        self.net = net
        self._compute = compute

    def forward(self, *inputs: object) -> object:
        return self._compute(self.net, *inputs)


def _shape(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)


class Estimates:
    """Activation bytes by operation and shape, each traced once, and the factors that measured runs taught."""

    def __init__(self) -> None:
        self._traced: dict[Hashable, int] = {}
        self._factors: dict[Hashable, float] = {}

    def bytes(self, key: Hashable, trace: Callable[[], int]) -> int:
        """The estimate for `key`, an operation with the shapes it is called with; `trace` gives it the first time."""
        if key not in self._traced:
            self._traced[key] = trace()
        return int(self._traced[key] * self.factor(key))

    def factor(self, key: Hashable) -> float:
        """What the trace of `key` is multiplied by."""
        return self._factors.get(key, UNMEASURED)

    def measured(self, key: Hashable, nbytes: int) -> None:
        """A run of `key` took `nbytes` at the most: the next estimate is a little above the largest of all."""
        traced = self._traced.get(key)
        if traced:
            least = MARGIN * nbytes / traced
            self._factors[key] = max(self._factors.get(key, 0.0), least)

    def too_low(self, key: Hashable) -> None:
        """A run of `key` did not fit although the estimate said so: the next one is half as much again."""
        self._factors[key] = self.factor(key) * 1.5
