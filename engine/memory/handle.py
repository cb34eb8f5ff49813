"""Weights with a place: a net that is put on its device for as long as it is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch
from torch import nn

from engine.memory.casting import compute_in, computes_in

Net = TypeVar("Net", bound=nn.Module)


class ModelHandle(Generic[Net]):
    """A net and the device it computes on. The weights may rest elsewhere between leases."""

    def __init__(self, net: Net, device: torch.device) -> None:
        self._net = net.eval().requires_grad_(False)
        self.device = device

    @property
    def dtype(self) -> torch.dtype:
        """The type the net computes in; its weights may lie in narrower ones."""
        return computes_in(self._net)

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        return sum(weight.nbytes for weight in self._net.state_dict().values())

    def widen(self) -> None:
        """Compute in float32 from now on."""
        compute_in(self._net, torch.float32)

    def weights(self) -> dict[str, nn.Parameter]:
        """Every parameter by its name, wherever it rests."""
        return dict(self._net.named_parameters())

    @contextmanager
    def lease(self) -> Iterator[Net]:
        """The net with its weights on the device, without gradients."""
        self._net.to(self.device)
        with torch.inference_mode():
            yield self._net
