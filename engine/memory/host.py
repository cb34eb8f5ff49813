"""The memory of the machine: what results and weights take of it, and how much is missing when others need it.

Weights that lie mapped in their files take none that the system could not have back at once, so they are told apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import psutil
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from engine.memory.handle import ModelHandle

MAPS = Path("/proc/self/maps")  # Linux tells there which addresses are those of files; elsewhere all count as owned


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of weights that are the process's own, and of those that are mapped from files."""

    owned: int = 0
    mapped: int = 0

    def __add__(self, other: Held) -> Held:
        return Held(self.owned + other.owned, self.mapped + other.mapped)


@dataclass(frozen=True, slots=True)
class Host:
    """The machine's memory, of which `reserve` bytes are to stay free for others."""

    reserve: int

    def free(self) -> int:
        """Bytes that can be had without swapping."""
        return int(psutil.virtual_memory().available)

    def missing(self) -> int:
        """Bytes that ought to be given back now."""
        return max(0, self.reserve - self.free())


def handles_in(values: Iterable[object]) -> list[ModelHandle[Any]]:
    """The handles that are reachable from `values`, each once."""
    found: dict[int, ModelHandle[Any]] = {}
    seen: set[int] = set()
    stack: list[object] = list(values)
    while stack:
        value = stack.pop()
        if isinstance(value, ModelHandle):
            found[id(value)] = value
        elif isinstance(value, list | tuple):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif is_dataclass(value) and not isinstance(value, type) and id(value) not in seen:
            seen.add(id(value))
            stack.extend(getattr(value, item.name) for item in fields(value))
    return list(found.values())


def held_by(net: nn.Module) -> Held:
    """What the weights of a net take of the machine's memory; those that are on a device take nothing."""
    there = [weight for weight in net.parameters() if weight.device.type == "cpu"]
    regions = file_regions()
    mapped = sum(weight.nbytes for weight in there if is_mapped(weight, regions))
    return Held(sum(weight.nbytes for weight in there) - mapped, mapped)


def is_mapped(weight: Tensor, regions: list[tuple[int, int]]) -> bool:
    """Whether a weight lies in one of the `regions` of files; those of a forecast lie nowhere."""
    if isinstance(weight, FakeTensor):
        return False
    address = weight.data_ptr()
    place = bisect_right(regions, (address, 2**64)) - 1
    return place >= 0 and address < regions[place][1]


def file_regions() -> list[tuple[int, int]]:
    """First address and the one behind the last of what is mapped from files, in order."""
    try:
        lines = MAPS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    regions = []
    for line in lines:
        words = line.split(maxsplit=5)
        if len(words) == 6 and words[5].startswith("/"):
            first, _, last = words[0].partition("-")
            regions.append((int(first, 16), int(last, 16)))
    return regions
