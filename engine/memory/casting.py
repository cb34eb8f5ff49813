"""Nets whose weights lie in a narrower type than they compute in: every layer widens its own for as long as it works.

So a file of half precision is computed with in single precision without ever lying in memory as such: its weights stay
mapped to the file. Widening is exact, so results have the same bits as with weights that were widened at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from engine.memory.gradients import wanted

KEPT = 256 * 2**20  # bytes: nets that are no larger when widened keep what they widened, for speed

# Layers that read their weights only when they are called; what other modules read is widened at once.
_LAYERS = (nn.Linear, nn.modules.conv._ConvNd, nn.GroupNorm, nn.LayerNorm)


class Casting:
    """How the layers of one net, the largest of which has `largest` numbers, come by their weights in `dtype`."""

    def __init__(self, dtype: torch.dtype, largest: int, *, keep: bool) -> None:
        self.dtype = dtype
        self._largest = largest
        self._keep = keep
        self._kept: dict[tuple[nn.Module, str], tuple[Tensor, Tensor]] = {}
        self._scratch = torch.empty(0, dtype=dtype)

    def keep_nothing(self) -> None:
        """Have no more memory than a layer needs while it works: where bytes are planned, none are kept beside."""
        self._keep = False
        self._kept.clear()
        self._scratch = torch.empty(0, dtype=self.dtype)

    def of(self, layer: nn.Module) -> dict[str, Any]:
        """The parameters of `layer` in `dtype`: what was kept, or memory that the next layer will have, too.

        Gradients go back through every layer after the last one has worked, so where they are wanted each has its own.
        """
        own = layer._parameters
        narrow = {name: weight for name, weight in own.items() if weight is not None and weight.dtype != self.dtype}
        if self._keep:
            return {**own, **{name: self._widened(layer, name, weight) for name, weight in narrow.items()}}
        if wanted():
            return {**own, **{name: weight.detach().to(self.dtype) for name, weight in narrow.items()}}
        free = self._room(sum(weight.numel() for weight in narrow.values()), next(iter(own.values())))
        found: dict[str, Any] = dict(own)
        for name, weight in narrow.items():
            found[name] = _shaped(free, weight).copy_(weight)
            free = free[weight.numel() :]
        return found

    def _room(self, numbers: int, like: Tensor | None) -> Tensor:
        """One piece of memory for all layers: new memory for each would take the system longer than the widening.

        It is large enough for every layer from the first on, as new memory for each larger one would, too.
        """
        device = self._scratch.device if like is None else like.device
        if self._scratch.numel() < numbers or self._scratch.dtype != self.dtype or self._scratch.device != device:
            self._scratch = torch.empty(max(numbers, self._largest), dtype=self.dtype, device=device)
        return self._scratch

    def _widened(self, layer: nn.Module, name: str, weight: Tensor) -> Tensor:
        kept = self._kept.get((layer, name))
        if kept is None or kept[0] is not weight or kept[1].dtype != self.dtype or kept[1].device != weight.device:
            with torch.inference_mode(False):  # what is kept may be trained through later
                self._kept[layer, name] = kept = (weight, weight.detach().to(self.dtype))
        return kept[1]


def _shaped(free: Tensor, like: Tensor) -> Tensor:
    """The beginning of `free` in the shape of `like`, and in its order, as far as that leaves no gaps."""
    strides = like.stride()
    order = sorted(range(like.ndim), key=lambda side: (-strides[side], side))
    there = free[: like.numel()].view([like.shape[side] for side in order])
    return there.permute([order.index(side) for side in range(like.ndim)])


def compute_in(net: nn.Module, dtype: torch.dtype) -> None:
    """Let `net` compute in `dtype`, whatever floating-point types its weights lie in."""
    casting = getattr(net, "casting", None)
    if isinstance(casting, Casting):
        casting.dtype = dtype
        return
    weights = [weight for weight in net.parameters() if weight.is_floating_point()]
    if all(weight.dtype == dtype for weight in weights):
        return
    keep = dtype.itemsize * sum(weight.numel() for weight in weights) <= KEPT
    casting = Casting(dtype, max(map(_numbers, net.modules())), keep=keep)
    net.casting = casting  # type: ignore[assignment]  # a module takes any attribute
    for module in net.modules():
        if isinstance(module, nn.Embedding):
            module.forward = _looked_up(module.forward, casting)  # type: ignore[method-assign]
        elif isinstance(module, _LAYERS):
            module.forward = _widening(module, module.forward, casting)  # type: ignore[method-assign]
        else:
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                if tensor.is_floating_point():
                    tensor.data = tensor.data.to(dtype)


def _numbers(module: nn.Module) -> int:
    """How many weights a layer has; tables are never widened whole."""
    own = module._parameters.values() if isinstance(module, _LAYERS) else ()
    return sum(weight.numel() for weight in own if weight is not None)


def keep_nothing(net: nn.Module) -> None:
    """Let `net` keep nothing that it widened, from now on."""
    casting = getattr(net, "casting", None)
    if isinstance(casting, Casting):
        casting.keep_nothing()


def computes_in(net: nn.Module) -> torch.dtype:
    """The type that `net` computes in."""
    casting = getattr(net, "casting", None)
    return casting.dtype if isinstance(casting, Casting) else next(net.parameters()).dtype


def _widening(layer: nn.Module, forward: Callable[..., Any], casting: Casting) -> Callable[..., Any]:
    def widened(*inputs: Any, **options: Any) -> Any:
        own = layer._parameters
        layer._parameters = casting.of(layer)
        try:
            return forward(*inputs, **options)
        finally:
            layer._parameters = own

    return widened


def _looked_up(forward: Callable[..., Any], casting: Casting) -> Callable[..., Any]:
    """Rows of a table are widened, not the table."""

    def widened(*inputs: Any, **options: Any) -> Any:
        return forward(*inputs, **options).to(casting.dtype)

    return widened
