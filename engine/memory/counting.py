"""Counts the bytes of live tensors while they are made: on any device, with or without memory behind them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

# Fused on every device we know of: scores are never held, so what the reference formula would make is not counted.
_WHOLE = frozenset({torch.ops.aten.scaled_dot_product_attention.default})


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, counts the storages that operations make, from their making to their end.

    Storages that were there before are not counted, so weights are not. Operations that consist of others are taken
    apart, as torch does itself, so that what they make on the way counts.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: int = 0
        """Bytes alive now."""
        self.peak: int = 0
        """Most bytes that were alive at once since `reset_peak`."""
        self._counted: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def reset_peak(self) -> None:
        """Begin to look for the peak anew."""
        self.peak = self.live

    def charge(self, nbytes: int) -> None:
        """Count `nbytes` that are about to be kept. What raises here lets go of them at once."""
        self.live += nbytes
        self.peak = max(self.peak, self.live)

    def refund(self, nbytes: int) -> None:
        """Bytes that were counted are gone."""
        self.live -= nbytes

    def count(self, tensor: Tensor) -> None:
        """Count the storage of `tensor` unless it is counted already."""
        storage = tensor.untyped_storage()
        key, nbytes = storage._cdata, storage.nbytes()
        if not nbytes or key in self._counted:
            return
        self.charge(nbytes)
        self._counted[key] = weakref.ref(storage, self._ending(key, nbytes))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """One operation: run it, and count what it made."""
        del types
        given = dict(kwargs or {})
        if func not in _WHOLE and func._can_decompose() and torch.is_inference_mode_enabled():
            with self:
                made = func.decompose(*args, **given)
            if made is not NotImplemented:
                return made
        inputs = [item for item in tree_iter((args, given)) if isinstance(item, Tensor)]
        counts = self.counts(func, inputs)
        made = func(*args, **given)
        self.did(func, args, given, made)
        if counts:
            before = {item.untyped_storage()._cdata for item in inputs}
            for item in tree_iter(made):
                if isinstance(item, Tensor) and item.untyped_storage()._cdata not in before:
                    self.count(item)
        return made

    def counts(self, func: object, inputs: Sequence[Tensor]) -> bool:
        """Whether what the operation `func` makes of `inputs` is to be counted."""
        del func, inputs
        return True

    def did(self, func: Any, args: tuple[Any, ...], given: Mapping[str, Any], made: object) -> None:
        """An operation was done that consists of no others."""

    def forget(self, tensor: Tensor) -> None:
        """Count the storage of `tensor` no longer, although it stays alive."""
        storage = tensor.untyped_storage()
        if self._counted.pop(storage._cdata, None) is not None:
            self.refund(storage.nbytes())

    def counted(self, tensor: Tensor) -> bool:
        """Whether the storage of `tensor` is counted now."""
        return tensor.untyped_storage()._cdata in self._counted

    def _ending(self, key: int, nbytes: int) -> Callable[[object], None]:
        mode = weakref.ref(self)

        def end(_gone: object) -> None:
            found = mode()
            if found is not None:
                del found._counted[key]
                found.refund(nbytes)

        return end
