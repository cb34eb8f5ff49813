"""Putting weights into nets that were built without memory, so that nothing is held twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engine.memory.casting import compute_in
from engine.models.detect import ArchitectureError

Net = TypeVar("Net", bound=nn.Module)
_SHOWN = 3


@contextmanager
def unfilled() -> Iterator[None]:
    """Nets that are built within have weights without memory and without initial values, for `fill`."""
    with torch.device("meta"), _NoInitialValues():
        yield


class _NoInitialValues(TorchFunctionMode):
    """Leaves out what `torch.nn.init` does: it is for nothing without memory, and its first use takes 0.1 s."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(function, "__module__", None) == nn.init.__name__:
            return given["tensor"] if "tensor" in given else args[0]
        return function(*args, **given)


def fill(
    net: Net,
    weights: Mapping[str, Tensor],
    dtype: torch.dtype | None,
    where: str,
    *,
    exact: bool = False,
    narrow: bool = False,
) -> Net:
    """Give `net`, built `unfilled`, its tensors in `dtype` (None: the file's own), and return it.

    A tensor that has `dtype` already is not copied: it stays mapped to the file, and so does with `narrow` one of a
    narrower type, which layers widen while they work (see `engine.memory.casting`). Tensors that the net does not know
    are left out, or refused if `exact`. Raises `ArchitectureError` that names what is missing, unknown or misfits.
    """
    wanted = net.state_dict()
    missing = [name for name in wanted if name not in weights]
    unknown = [name for name in weights if name not in wanted] if exact else []
    given = {name: _reshaped(weights[name], empty) for name, empty in wanted.items() if name in weights}
    misfits = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
        for name, tensor in given.items()
        if tensor.shape != wanted[name].shape
    ]
    faults = (("missing", missing), ("unknown", unknown), ("of another shape", misfits))
    if any(names for _, names in faults):
        raise ArchitectureError(
            "the tensors do not fit the net",
            where=where,
            got="; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in faults if names),
            hint="The file is incomplete or of a family that is not known.",
        )
    stored = {name: _stored(tensor, dtype, narrow=narrow) for name, tensor in given.items()}
    net.load_state_dict(stored, assign=True)
    _number_positions(net)
    if narrow and dtype is not None:
        compute_in(net, dtype)
    return net


def _reshaped(tensor: Tensor, like: Tensor) -> Tensor:
    """A linear layer as the 1x1 convolution it equals, or the other way round: old autoencoders mix the two."""
    if tensor.shape[:2] == like.shape[:2] and tensor.numel() == like.numel():
        return tensor.reshape(like.shape)
    return tensor


def _stored(tensor: Tensor, dtype: torch.dtype | None, *, narrow: bool) -> Tensor:
    if dtype is None or not tensor.is_floating_point() or (narrow and tensor.dtype.itemsize < dtype.itemsize):
        return tensor
    return tensor.to(dtype)


def _number_positions(net: nn.Module) -> None:
    """Position ids are in no state: always 0, 1, 2, ... (files have them as integers, floats, or not at all)."""
    for name, buffer in list(net.named_buffers()):
        if buffer.is_meta:
            module, _, leaf = name.rpartition(".")
            net.get_submodule(module).register_buffer(leaf, torch.arange(buffer.shape[-1])[None], persistent=False)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
