"""Layers that one net lends to another, which computes with them as with its own.

What is lent are modules, not weights: whoever brings weights to a module for the time of a call (the residency that
streams them, the casting that widens them) does so for a borrower's call, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Lent(nn.Module):
    """A layer of another net, with parameters of its own in place of some and a low-rank change beside it.

    `sketch` is such a layer on the meta device. It stands in for the lender's outside a block of `lending`, so that
    the borrower can be traced. `own` names its parameters here; a `rank` of None is no low-rank change.
    """

    def __init__(self, sketch: nn.Module, own: frozenset[str], rank: int | None) -> None:
        super().__init__()
        for leaf in own:
            self.register_parameter(leaf, sketch._parameters[leaf])
        if rank is not None:
            self.down, self.up = _low_rank(sketch, rank)
        self.low_rank = rank is not None
        self.lender = (sketch,)  # in a tuple it is none of this module's own

    def forward(self, x: Tensor) -> Tensor:
        """`x` after the changed layer."""
        h = called_with(self.lender[0], {name: own for name, own in self._parameters.items() if own is not None}, x)
        return h + self.up(self.down(x)) if self.low_rank else h


def called_with(layer: nn.Module, own: Mapping[str, nn.Parameter], x: Tensor) -> Tensor:
    """`layer(x)` with `own` parameters in place of those of these names; others are where they are in any call."""
    replaced: dict[str, nn.Parameter | None] = {}

    def put(*_: object) -> None:
        replaced.update({name: layer._parameters[name] for name in own})
        layer._parameters.update(own)

    def put_back(*_: object) -> None:
        layer._parameters.update(replaced)

    if not own:
        answer: Tensor = layer(x)
        return answer
    # within what others do around a call: after they brought the weights, before they take them away
    first = layer.register_forward_pre_hook(put)
    last = layer.register_forward_hook(put_back, prepend=True, always_call=True)
    try:
        answer = layer(x)
    finally:
        first.remove()
        last.remove()
    return answer


@contextmanager
def lending(lender: nn.Module, borrower: nn.Module) -> Iterator[None]:
    """A block in which `borrower` has the layers of `lender`, those that have the same names."""
    layers = [(name, layer) for name, layer in borrower.named_modules() if isinstance(layer, Lent)]
    sketches = [layer.lender for _, layer in layers]
    try:
        for name, layer in layers:
            layer.lender = (lender.get_submodule(name),)
        yield
    finally:
        for (_, layer), sketch in zip(layers, sketches, strict=True):
            layer.lender = sketch


def _low_rank(layer: nn.Module, rank: int) -> tuple[nn.Module, nn.Module]:
    """The two layers that follow each other beside a linear layer or a convolution."""
    with torch.device("meta"):
        if isinstance(layer, nn.Linear):
            down: nn.Module = nn.Linear(layer.in_features, rank, bias=False)
            return down, nn.Linear(rank, layer.out_features, bias=False)
        assert isinstance(layer, nn.Conv2d)
        assert not isinstance(layer.padding, str)
        sides = layer.kernel_size[0], layer.kernel_size[1]
        strides, padding = (layer.stride[0], layer.stride[1]), (layer.padding[0], layer.padding[1])
        down = nn.Conv2d(layer.in_channels, rank, sides, strides, padding, bias=False)
        return down, nn.Conv2d(rank, layer.out_channels, 1, bias=False)
