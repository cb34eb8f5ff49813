"""Maps a weight file, however large it is: its pages are the system's to take back, and no promise of memory is asked.

Tensors of a mapped file may be written to (in memory only), for which Linux wants to be able to give as much memory as
the file is long, and refuses files that are larger than the machine's memory. A mapping without a reservation may be
written to just the same, and takes memory for what really is.
"""

from __future__ import annotations

import mmap
import sys
from math import prod
from pathlib import Path

import torch
from torch import Tensor

NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # of Linux; Python names it from 3.13 on


def mapped(path: Path) -> mmap.mmap:
    """All bytes of a file that is not empty; where the system has no such mappings, with a reservation."""
    with path.open("rb") as file:
        if sys.platform != "linux":
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        access = mmap.PROT_READ | mmap.PROT_WRITE
        return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | NO_RESERVE, prot=access)


def tensor_in(pages: mmap.mmap, begin: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """The tensor that begins at a byte of `pages`, with a storage of its own, as tensors of other files have it.

    A copy where it does not lie as its type wants it, or is empty.
    """
    count = prod(shape)
    if not count:
        return torch.empty(shape, dtype=dtype)
    if begin % dtype.itemsize:
        aligned = bytearray(pages[begin : begin + count * dtype.itemsize])
        return torch.frombuffer(aligned, dtype=dtype).view(shape)
    return torch.frombuffer(pages, dtype=dtype, count=count, offset=begin).view(shape)
