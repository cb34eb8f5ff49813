"""What an operation takes besides weights: traced once without memory, then corrected by what runs really took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.flop_counter import flop_registry
from torch.utils.hooks import RemovableHandle

from engine.memory.counting import LiveBytes

UNMEASURED = (
    1.3  # what an estimate is multiplied by before the first run: rounding of allocators, workspaces of kernels
)
MARGIN = 1.05  # beyond the largest that was measured: sizes in one bucket differ a little
META = torch.device("meta")


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of an operation before it ever ran.

    `peak` are the bytes alive at the most besides weights, and `answer` those of what comes out. `used` names the
    parameters in the order they are first needed, `astray` those that are used outside a call of their module. `flops`
    are multiplications and additions, and `flops_after` those from the use of each parameter to that of the next.
    """

    peak: int
    answer: int
    used: tuple[str, ...]
    astray: frozenset[str]
    flops: int = 0
    flops_after: Mapping[str, int] = field(default_factory=dict)


def traced(net: nn.Module, compute: Callable[..., object], *inputs: object) -> Trace:
    """What `compute(net, *inputs)` takes.

    Nothing is computed: tensors have shapes only. Attention is taken to be fused. An operation in which data decides
    what is computed cannot be traced, and raises.
    """
    weights = {
        f"net.{name}": torch.empty_strided(weight.shape, weight.stride(), dtype=weight.dtype, device=META)
        for name, weight in (*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False))
    }
    parameters = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    watch = _Watch({weights[f"net.{name}"].untyped_storage()._cdata: name for name in parameters})
    hooks = [hook for name, module in net.named_modules() for hook in watch.hooks(name, module)]
    try:
        with torch.inference_mode(), watch:
            call = tuple(tree_map(_shape, inputs))
            made = functional_call(_Computed(net, compute), weights, call, tie_weights=False)
    finally:
        for hook in hooks:
            hook.remove()
    answer = sum(item.nbytes for item in tree_iter(made) if isinstance(item, Tensor))
    flops = sum(watch.flops.values())
    return Trace(watch.peak, answer, tuple(watch.used), frozenset(watch.astray), flops, dict(watch.flops))


class _Watch(LiveBytes):  # type: ignore[no-untyped-call]
    """Counts bytes, and notes which parameter is used when, and whether within its own module."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.used: dict[str, None] = {}
        self.astray: set[str] = set()
        self.flops: Counter[str] = Counter()
        self._latest = ""
        self._names = names
        self._within: list[str] = []

    def hooks(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        """Note when `module` is called."""
        yield module.register_forward_pre_hook(lambda _module, _inputs: self._within.append(name))
        yield module.register_forward_hook(lambda *_: self._leave(), always_call=True)

    def counts(self, func: object, inputs: Sequence[Tensor]) -> bool:
        """Everything counts; parameters among the inputs are noted."""
        del func
        for tensor in inputs:
            name = self._names.get(tensor.untyped_storage()._cdata)
            if name is not None:
                self.used[name] = None
                self._latest = name
                if name.rpartition(".")[0] not in self._within:
                    self.astray.add(name)
        return True

    def did(self, func: Any, args: tuple[Any, ...], given: Mapping[str, Any], made: object) -> None:
        """Count what is computed by matrix products; all else is little beside."""
        if func is torch.ops.aten.scaled_dot_product_attention.default:
            (*rows, queries, channels), keys = args[0].shape, args[1].shape[-2]
            self.flops[self._latest] += 4 * prod(rows) * queries * keys * channels
        elif func._overloadpacket in flop_registry:
            self.flops[self._latest] += flop_registry[func._overloadpacket](*args, **given, out_val=made)

    def _leave(self) -> None:
        self._within.pop()


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
