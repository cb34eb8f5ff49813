"""Reading weight files: safetensors by memory mapping, pickles in a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.models.formats import is_pickle
from engine.models.pickle_process import PROCESS
from engine.models.pickles import DAMAGED, CorruptFileError, UnsafePickleError, WeightsError, first_line
from engine.store.safetensors_header import TensorInfo, read_header

__all__ = ["CorruptFileError", "UnsafePickleError", "Weights", "WeightsError", "open_weights"]


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
    header = read_header(path)
    try:
        file: Any = safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CorruptFileError(
            "this is no whole safetensors file", where=path.name, got=first_line(error), hint=DAMAGED
        ) from error
    return Weights(path, header.tensors, header.metadata, file.get_tensor)


def _open_pickle(path: Path) -> Weights:
    """As a safetensors file that is mapped and then has no name any more, so that nothing of it stays behind."""
    with PROCESS.unpacked(path) as unpacked:
        found = _open_safetensors(unpacked)
    return Weights(path, found.tensors, found.metadata, found.__getitem__)
