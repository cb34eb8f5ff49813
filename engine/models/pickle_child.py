"""The process that opens pickles: `python -m engine.models.pickle_child`, started by `pickle_process`.

It imports torch once and forks for every file. The fork has limits on memory, time and what it may write, reads the
tensors and writes them as a safetensors file. Whatever a file does to its reader, it does to the fork.
One line of JSON a request: `{"path", "folder", "seconds", "memory"}`; one line an answer: how the fork ended.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from engine.foundation.errors import EaselError
from engine.models.pickles import CorruptFileError, WeightsError, read_pickle

TENSORS, ERROR = "tensors.safetensors", "error.json"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_REPEATS = 4  # tensors that share their numbers are written once each; more than this is no model
_SLACK = 256 * 2**20
_PIECE = 16 * 2**20
_PAGE = resource.getpagesize()


def main() -> int:
    """Serve requests until the stream of them ends, which it does when whoever started this is gone."""
    torch.set_num_threads(1)  # before any fork: threads do not survive one
    for line in sys.stdin.buffer:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _work(request)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()
    return 0


def _work(request: dict[str, Any]) -> None:
    """What the fork does; it never returns."""
    status = 1
    try:
        folder = Path(request["folder"])
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # nothing that is read from the file may speak on the stream of answers
            os.dup2(silence, stream)
        _limit(request["memory"], request["seconds"])
        try:
            _convert(Path(request["path"]), folder / TENSORS)
        except EaselError as error:
            told = [error.message[:300], error.where[:300], error.expected[:300], error.got[:300], error.hint[:300]]
            (folder / ERROR).write_text(json.dumps([type(error).__name__, *told]))
        status = 0
    finally:
        os._exit(status)


def _limit(memory: int, seconds: int) -> None:
    """Bounds for this process. `memory` comes on top of what torch has mapped already."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE if Path("/proc/self/statm").exists() else 0
    bounds = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, memory)]
    if mapped:
        bounds.append((resource.RLIMIT_AS, mapped + memory))
    for kind, most in bounds:
        resource.setrlimit(kind, (most, most))


def _convert(path: Path, target: Path) -> None:
    """Write the tensors of the pickle at `path` as a safetensors file. Raises as `read_pickle`."""
    tensors = {name: value for name, value in read_pickle(path).items() if name != "__metadata__"}
    budget = _REPEATS * path.stat().st_size + _SLACK
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in tensors.items():
        size = _size(tensor, path)
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [end, end + size]}
        end += size
        if end > budget:
            raise CorruptFileError("the tensors are far larger than their file", where=path.name)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of eight bytes, as mapped tensors want it
    try:
        with target.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in tensors.values():
                _write(tensor, file)
    except OSError as error:
        raise WeightsError(
            "there is no room to unpack this file", where=path.name, got=error.strerror or "an error",
            hint="Free some space in the folder for temporary files, or convert the file to safetensors.",
        ) from error  # fmt: skip


def _size(tensor: Tensor, path: Path) -> int:
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.dtype not in _DTYPES:
        kind = f"{tensor.layout}, {tensor.device.type}, {tensor.dtype}"
        raise CorruptFileError("this file holds a tensor that no model has", where=path.name, got=kind)
    return math.prod(tensor.shape) * tensor.element_size()


def _write(tensor: Tensor, file: BinaryIO) -> None:
    """The numbers of a tensor in order; in place where they lie that way, which those of whole models do."""
    whole = tensor.detach().contiguous()
    size, start = whole.numel() * whole.element_size(), whole.data_ptr()
    for place in range(0, size, _PIECE):  # not through numpy, which has no bfloat16
        file.write((ctypes.c_char * min(_PIECE, size - place)).from_address(start + place))


if __name__ == "__main__":
    sys.exit(main())
