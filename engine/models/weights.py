"""Reading weight files: safetensors by memory mapping, pickles through torch's weights-only reader alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.foundation.errors import EaselError

PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin"})
_MAX_NESTING = 4


class WeightsError(EaselError):
    """A weight file that cannot be read, or that must not be."""

    code: ClassVar[str] = "bad_weights"


class Weights(Mapping[str, Tensor]):
    """Tensors by name, each read when asked for. `shapes` and `dtypes` know every tensor without reading it."""

    def __init__(
        self,
        path: Path,
        shapes: Mapping[str, tuple[int, ...]],
        dtypes: Mapping[str, str],
        read: Callable[[str], Tensor],
        metadata: Mapping[str, str],
    ) -> None:
        self.path = path
        self.shapes = shapes
        self.dtypes = dtypes
        self.metadata = metadata
        self._read = read

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def open_weights(path: Path) -> Weights:
    """The weights of a safetensors file (mapped, nothing is read yet) or of a pickle that holds tensors only.

    Raises `WeightsError` for a file that is missing, truncated or corrupt, or a pickle with more than plain data in it.
    """
    if not path.is_file():
        raise WeightsError("there is no such file", where=path.name, hint="Check the name and the model folders.")
    return _open_pickle(path) if path.suffix.lower() in PICKLES else _open_safetensors(path)


def _open_safetensors(path: Path) -> Weights:
    try:
        file: Any = safe_open(path, framework="pt", device="cpu")
        names = list(file.keys())
        slices = {name: file.get_slice(name) for name in names}
        metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            "this is no whole safetensors file",
            where=path.name,
            got=str(error).splitlines()[0],
            hint="The file is truncated, damaged or of another kind: download it again.",
        ) from error
    shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
    dtypes = {name: part.get_dtype() for name, part in slices.items()}
    return Weights(path, shapes, dtypes, file.get_tensor, metadata)


def _open_pickle(path: Path) -> Weights:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "this pickle holds more than weights and could run code, so it is not opened",
            where=path.name,
            hint="Ask its author for a safetensors file.",
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise WeightsError(
            "this is no whole weight file",
            where=path.name,
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            hint="The file is truncated, damaged or of another kind: download it again.",
        ) from error
    tensors = {name: value for name, value in _state_dict(content).items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError("there is no tensor in this file", where=path.name, got=type(content).__name__)
    return Weights(
        path,
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        {name: _dtype_name(tensor.dtype) for name, tensor in tensors.items()},
        tensors.__getitem__,
        {},
    )


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _state_dict(content: Any) -> Mapping[str, Any]:
    """The mapping of tensors in a checkpoint, which trainers nest under `state_dict` once or more."""
    for _ in range(_MAX_NESTING):
        if not isinstance(content, Mapping):
            return {}
        inner = content.get("state_dict")
        if not isinstance(inner, Mapping):
            break
        content = inner
    return {str(name): value for name, value in content.items()}


def _dtype_name(dtype: torch.dtype) -> str:
    names = {
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.float64: "F64",
        torch.int64: "I64",
    }
    return names.get(dtype, str(dtype).removeprefix("torch."))
