"""Reading weight files: safetensors by memory mapping, pickles in a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from engine.models.formats import is_pickle
from engine.models.mapping import mapped, tensor_in
from engine.models.pickle_process import PROCESS
from engine.models.pickles import DAMAGED, CorruptFileError, UnsafePickleError, WeightsError
from engine.store.safetensors_header import TensorInfo, read_header

__all__ = ["CorruptFileError", "UnsafePickleError", "Weights", "WeightsError", "open_weights"]

StandIn: TypeAlias = Callable[[tuple[int, ...], torch.dtype], Tensor]
STAND_IN: ContextVar[StandIn | None] = ContextVar("stand_in", default=None)
"""Makes what is given in place of large tensors, which are not read then; None: nothing does."""

SMALL = 64 * 2**10  # bytes: tensors up to here are read nevertheless; numbers that say what a file is are among them
_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U64": torch.uint64, "U32": torch.uint32,
    "U16": torch.uint16, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip


class Weights(Mapping[str, Tensor]):
    """Tensors by name, each mapped when asked for. `tensors` and `shapes` know every one without reading it."""

    def __init__(
        self,
        path: Path,
        tensors: Mapping[str, TensorInfo],
        metadata: Mapping[str, str],
        read: Callable[[str], Tensor],
    ) -> None:
        self.path = path
        self.tensors = tensors
        self.metadata = metadata
        self.shapes = {name: info.shape for name, info in tensors.items()}
        self._read = read

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise KeyError(name)
        info, stand_in = self.tensors[name], STAND_IN.get()
        if stand_in is not None and info.nbytes > SMALL:
            return stand_in(info.shape, _TYPES[info.dtype])
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, under their names without it."""
        return {name.removeprefix(prefix): self[name] for name in self if name.startswith(prefix)}


def open_weights(path: Path) -> Weights:
    """The weights of a safetensors file (mapped, nothing is read yet) or of a pickle that holds plain data only.

    Pickles are unpacked first, by a process with limits.

    Raises `MissingFileError`, `WeightsError` (no tensors), `UnsafePickleError`, `TruncatedFileError` or
    `FileFormatError` (of pickles its subclass `CorruptFileError`).
    """
    return _open_pickle(path) if is_pickle(path) else _open_safetensors(path)


def _open_safetensors(path: Path) -> Weights:
    """Mapped without touching a page, which the safetensors library does once for every tensor."""
    header = read_header(path)
    unknown = {info.dtype for info in header.tensors.values()} - _TYPES.keys()
    if unknown:
        got = ", ".join(sorted(unknown))[:80]
        raise CorruptFileError("this file has numbers of an unknown type", where=path.name, got=got, hint=DAMAGED)
    pages = mapped(path)

    def read(name: str) -> Tensor:
        info = header.tensors[name]
        return tensor_in(pages, header.start + info.offsets[0], _TYPES[info.dtype], info.shape)

    return Weights(path, header.tensors, header.metadata, read)


def _open_pickle(path: Path) -> Weights:
    """As a safetensors file that is mapped and then has no name any more, so that nothing of it stays behind."""
    with PROCESS.unpacked(path) as unpacked:
        found = _open_safetensors(unpacked)
    return Weights(path, found.tensors, found.metadata, found.__getitem__)
