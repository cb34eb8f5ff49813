"""Pickles of weights, read by torch's weights-only reader alone. Runs in a process of its own: see `pickle_child`."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy._core.multiarray import scalar as numpy_scalar
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.store.mistaken import mistaken
from engine.store.safetensors_header import FileFormatError, TruncatedFileError

DAMAGED = "The file is damaged or of another kind: download it again."
_NESTS = ("state_dict", "params_ema", "params", "string_to_param")
_GLIGEN = "position_net.null_position_feature"  # in the net of its training states, beside other nets
_JOINED = ("image_proj", "ip_adapter")  # parts of IP-Adapters, which safetensors files name with a dot
_MAX_NESTING = 4
_LONGEST_NAME = 40  # of an activation
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


class WeightsError(EaselError):
    """A file that holds no weights."""

    code: ClassVar[str] = "bad_weights"


class UnsafePickleError(WeightsError):
    """A pickle that names code. It was refused, nothing in it ran."""

    code: ClassVar[str] = "unsafe_pickle"


class CorruptFileError(FileFormatError):
    """A weight file whose structure is damaged. Flipped bits inside the numbers themselves cannot be told."""

    code: ClassVar[str] = "corrupt_file"


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors in a pickle by name.

    Raises `UnsafePickleError`, `TruncatedFileError`, `CorruptFileError`, or `WeightsError` if it holds none.
    """
    content = _flat(_unpickle(path))
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError("there is no tensor in this file", where=path.name, expected="a model's weights")
    return tensors


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
        raise kind("this is no whole weight file", where=path.name, got=first_line(error), hint=DAMAGED) from error


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
            got=named[1][:200] if named else "instructions that weight files do not have",
            hint="Ask its author for a safetensors file.",
        )
    got, hint = ("a damaged pickle", DAMAGED) if start.startswith((b"PK", b"\x80")) else mistaken(path)
    return CorruptFileError("this file cannot be read", where=path.name, expected="weights", got=got, hint=hint)


def _flat(content: Any) -> Mapping[Any, Any]:
    """The mapping of tensors in a pickle, which trainers nest under `state_dict` or the like; averaged weights win."""
    for _ in range(_MAX_NESTING):
        if not isinstance(content, Mapping):
            return {}
        nest = next((name for name in _NESTS if isinstance(content.get(name), Mapping)), None)
        if nest is None:
            break
        prefix = "string_to_param." if nest == "string_to_param" else ""
        content = {f"{prefix}{name}": value for name, value in content[nest].items()}
    if isinstance(content, Mapping) and any(isinstance(name, int) for name in content):
        return _hypernetwork(content)
    if isinstance(content, Mapping) and _GLIGEN in (content.get("model") or ()):
        return dict(content["model"])
    if isinstance(content, Mapping) and all(isinstance(content.get(name), Mapping) for name in _JOINED):
        return {f"{part}.{name}": value for part in _JOINED for name, value in content[part].items()}
    return content if isinstance(content, Mapping) else {}


def _hypernetwork(content: Mapping[Any, Any]) -> Mapping[str, Tensor]:
    """A pair of nets for each width, as `width.0.name` and `width.1.name`; what is said of both, as bytes."""
    found: dict[str, Tensor] = {}
    for width, pair in content.items():
        if isinstance(width, int) and isinstance(pair, list | tuple):
            for side, net in enumerate(pair[:2]):
                named = net.items() if isinstance(net, Mapping) else ()
                found |= {f"{width}.{side}.{name}": value for name, value in named if isinstance(value, Tensor)}
    activation = content.get("activation_func")
    if isinstance(activation, str):
        found["activation_func"] = torch.tensor(list(activation[:_LONGEST_NAME].encode()), dtype=torch.uint8)
    if content.get("activate_output") is True:
        found["activate_output"] = torch.ones(1, dtype=torch.uint8)
    return found


def first_line(error: Exception) -> str:
    """The gist of an error of somebody else's."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
