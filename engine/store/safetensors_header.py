"""The header of a safetensors file: names, types, shapes and places of its tensors, checked, without reading them.

Layout: eight bytes with the header's length (little endian), the header as JSON, then the tensors' bytes without gaps.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from engine.foundation import json
from engine.foundation.errors import EaselError
from engine.store.mistaken import mistaken

MAX_HEADER = 100 * 2**20
SIZES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip


class FileFormatError(EaselError):
    """A file that is not what its name says, damaged, or cut short."""

    code: ClassVar[str] = "corrupt_header"


class TruncatedFileError(FileFormatError):
    """A file that ends before its tensors do."""

    code: ClassVar[str] = "truncated_file"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Type, shape and place (first byte, byte after the last; from the end of the header on) of a tensor."""

    dtype: str
    shape: tuple[int, ...]
    offsets: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return self.offsets[1] - self.offsets[0]


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What a safetensors file says of itself; the tensors' bytes begin at `start`."""

    start: int
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> FileHeader:
    """The checked header. Raises `FileFormatError` or `TruncatedFileError`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            got, hint = mistaken(path)
            raise TruncatedFileError(
                "this file is too short", where=path.name, expected="a safetensors file", got=got, hint=hint
            )
        (length,) = struct.unpack("<Q", prefix)
        if length > MAX_HEADER:
            got, hint = mistaken(path)
            raise FileFormatError(
                "this file cannot be read", where=path.name, expected="a safetensors file", got=got, hint=hint
            )
        data = file.read(length)
    if len(data) < length:
        raise TruncatedFileError("this file ends inside its header", where=path.name, hint="Download it again.")
    try:
        content = json.parse(data, max_bytes=MAX_HEADER)
    except json.JsonError as error:
        raise FileFormatError("the header of this file is damaged", where=path.name, got=str(error)) from error
    if not isinstance(content, dict):
        raise FileFormatError("the header of this file is damaged", where=path.name, expected="an object")
    metadata = content.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise FileFormatError("the header of this file is damaged", where=f"{path.name}, __metadata__")
    tensors = {name: _tensor(name, entry, path) for name, entry in content.items()}
    _check_layout(tensors, size - 8 - length, path)
    return FileHeader(8 + length, tensors, {str(key): str(value) for key, value in metadata.items()})


def _tensor(name: str, entry: Any, path: Path) -> TensorInfo:
    try:
        dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, start, end))
        if whole and (dtype not in SIZES or math.prod(shape) * SIZES[dtype] == end - start):
            return TensorInfo(str(dtype), shape, (start, end))
    except (TypeError, KeyError, ValueError):
        pass
    raise FileFormatError("the header of this file is damaged", where=f"{path.name}, tensor {name[:80]}")


def _check_layout(tensors: Mapping[str, TensorInfo], data_bytes: int, path: Path) -> None:
    end = 0
    for info in sorted(tensors.values(), key=lambda info: info.offsets):
        if info.offsets[0] != end:
            raise FileFormatError("the tensors of this file overlap or leave gaps", where=path.name)
        end = info.offsets[1]
    if end > data_bytes:
        raise TruncatedFileError(
            "this file is cut short",
            where=path.name,
            expected=f"{end} bytes of tensors",
            got=f"{data_bytes}",
            hint="Download it again.",
        )
    if end < data_bytes:
        raise FileFormatError("this file has bytes that belong to no tensor", where=path.name)
