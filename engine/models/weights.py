"""Reading weight files: safetensors by memory mapping, pickles through torch's weights-only reader alone."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy._core.multiarray import scalar as numpy_scalar
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.models.formats import is_pickle
from engine.store.safetensors_header import FileFormatError, TensorInfo, TruncatedFileError, read_header

_NESTS = ("state_dict", "string_to_param")
_MAX_NESTING = 4
_DAMAGED = "The file is damaged or of another kind: download it again."
# What torch's reader raises, in no order, for structures that make no sense.
_DAMAGE = (
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    zipfile.BadZipFile,
    struct.error,
)
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class WeightsError(EaselError):
    """A file that holds no weights."""

    code: ClassVar[str] = "bad_weights"


class UnsafePickleError(WeightsError):
    """A pickle that names code. It was refused, nothing in it ran."""

    code: ClassVar[str] = "unsafe_pickle"


class CorruptFileError(FileFormatError):
    """A weight file whose structure is damaged. Flipped bits inside the numbers themselves cannot be told."""

    code: ClassVar[str] = "corrupt_file"


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
            "this is no whole safetensors file", where=path.name, got=_first_line(error), hint=_DAMAGED
        ) from error
    return Weights(path, header.tensors, header.metadata, file.get_tensor)


def _open_pickle(path: Path) -> Weights:
    tensors = {name: value for name, value in _flat(_unpickle(path)).items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError("there is no tensor in this file", where=path.name, expected="a model's weights")
    infos = {name: TensorInfo(_dtype(value), tuple(value.shape), (0, value.nbytes)) for name, value in tensors.items()}
    return Weights(path, infos, {}, tensors.__getitem__)


def _unpickle(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(2)
    zipped = start == b"PK"
    try:
        if zipped and not zipfile.is_zipfile(path):  # the directory of an archive is at its end
            raise EOFError
        with torch.serialization.safe_globals(_inert_globals()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols that it may not know in full
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _refusal(path, start, str(error)) from error
    except EOFError as error:
        raise TruncatedFileError("this file is cut short", where=path.name, hint="Download it again.") from error
    except _DAMAGE as error:
        kind = TruncatedFileError if "unexpected EOF" in str(error) else CorruptFileError
        raise kind("this is no whole weight file", where=path.name, got=_first_line(error), hint=_DAMAGED) from error


class _Inert:
    """Stands in for the callback class whose name training states of the first Stable Diffusion files carry."""


def _inert_globals() -> list[Any]:
    """What harmless training states hold besides tensors: numpy scalars, and one class, which is replaced."""
    return [
        (_Inert, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
        numpy_scalar,
        (numpy_scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Float64DType,
    ]


def _refusal(path: Path, start: bytes, reason: str) -> EaselError:
    """A pickle with code in it, or bytes that are no pickle at all."""
    named = re.search(r"GLOBAL ([\w.]+)", reason)
    if named or (start[:1] == b"\x80" and "Unsupported operand" in reason):
        return UnsafePickleError(
            "this pickle could run code, so it is not opened",
            where=path.name,
            expected="tensors and plain data only",
            got=named[1] if named else "instructions that weight files do not have",
            hint="Ask its author for a safetensors file.",
        )
    return CorruptFileError("this is no weight file", where=path.name, hint=_DAMAGED)


def _flat(content: Any) -> Mapping[str, Any]:
    """The mapping of tensors in a pickle, which trainers nest under `state_dict`; embeddings are one deeper too."""
    for _ in range(_MAX_NESTING):
        if not isinstance(content, Mapping):
            return {}
        nest = next((name for name in _NESTS if isinstance(content.get(name), Mapping)), None)
        if nest is None:
            break
        prefix = "string_to_param." if nest == "string_to_param" else ""
        content = {f"{prefix}{name}": value for name, value in content[nest].items()}
    return content if isinstance(content, Mapping) else {}


def _dtype(tensor: Tensor) -> str:
    return _DTYPES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
