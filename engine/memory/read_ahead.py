"""Bringing what is mapped from files into memory before it is touched, by a thread of its own.

The first touch of a mapped page is a fault: a trap into the kernel for every few of them, and where they are not in the
page cache, a wait for the disk. `madvise(2)` does the same for a range at once, beside those who compute.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterable
from threading import Thread

import psutil
from torch import Tensor

from engine.memory.host import file_regions, is_mapped

LEAST = 64 * 2**20  # bytes: for fewer a thread is not worth its while
PIECE = 16 * 2**20  # bytes at a time, so that others who want memory are let in between
_POPULATE_READ = 22  # MADV_POPULATE_READ, Linux 5.14; other kernels refuse it, and pages come when they are touched


def read_ahead(weights: Iterable[Tensor], least: int = LEAST) -> Thread | None:
    """Begin to read those of `weights` that are mapped from files, in this order; None if nobody need do so.

    Files that would take more than half of the memory that is free are read as they are used. The weights stay mapped
    until the thread has ended.
    """
    regions = file_regions()
    mapped = [weight for weight in weights if weight.device.type == "cpu" and is_mapped(weight, regions)]
    total = sum(weight.nbytes for weight in mapped)
    if not least <= total <= psutil.virtual_memory().available // 2:
        return None
    thread = Thread(target=_read, args=(mapped,), name="read ahead", daemon=True)
    thread.start()
    return thread


def _read(weights: list[Tensor]) -> None:
    advise = ctypes.CDLL(None).madvise  # that of `mmap.mmap` keeps the interpreter waiting, and needs a mapping of ours
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for weight in weights:
        start, end = weight.data_ptr(), weight.data_ptr() + weight.nbytes
        for place in range(start - start % mmap.PAGESIZE, end, PIECE):
            advise(place, min(PIECE, end - place), _POPULATE_READ)
