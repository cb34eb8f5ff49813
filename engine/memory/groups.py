"""A net's weights in groups, in the order of execution: the units that stay on a device or are streamed to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from engine.memory.estimate import Trace

GROUP_BYTES = 16 * 2**20, 256 * 2**20  # the least that is worth a copy of its own, and what a window may take
GROUPS = 64  # about how many a net is cut into between these
ALIGNMENT = 256  # bytes: what allocators of devices give


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a net for a parameter, the leaf of a module without children, with the bytes of the net's own one."""

    name: str
    module: nn.Module
    leaf: str
    nbytes: int

    @property
    def parameter(self) -> nn.Parameter:
        """What is in the place now."""
        found = self.module._parameters[self.leaf]
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """Places whose parameters move together, and their bytes in a window."""

    slots: tuple[Slot, ...]
    nbytes: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How a net is cut for one operation: groups in order, and the names of parameters that must be resident.

    What is in neither is not needed at all.
    """

    groups: tuple[Group, ...]
    fixed: frozenset[str]
    fixed_bytes: int


def layout(net: nn.Module, trace: Trace | None = None, bounds: tuple[int, int] = GROUP_BYTES) -> Layout:
    """The groups of `net`, for the operation of `trace` or, without one, for all in the order of the modules.

    Parameters of modules with children, those that modules share and those that are used astray are fixed, as nobody
    could tell when they are needed; without a trace so are those within torch's own attention, which does that. Fixed
    are also those that consist of several tensors, such as integers with their scales.
    """
    owners = dict(net.named_modules())
    parameters = dict(net.named_parameters(remove_duplicate=False))
    shared = _shared(net)
    several = {name for name, weight in parameters.items() if is_traceable_wrapper_subclass(weight.data)}
    astray = shared.keys() | several | (trace.astray if trace else _unforeseen(net))
    names = trace.used if trace else tuple(parameters)
    leaves: dict[str, list[Slot]] = {}
    fixed: set[str] = set()
    for name in names:
        path, _, leaf = name.rpartition(".")
        module = owners[path]
        if name in astray or next(module.children(), None) is not None or not path:
            fixed |= shared.get(name, {name})
        else:
            leaves.setdefault(path, []).append(Slot(name, module, leaf, parameters[name].nbytes))
    least = max(bounds[0], min(bounds[1], sum(weight.nbytes for weight in parameters.values()) // GROUPS))
    groups: list[Group] = []
    gathered: list[Slot] = []
    for slots in leaves.values():
        if gathered and _bytes(gathered) + _bytes(slots) > max(least, bounds[0]):
            groups.append(Group(tuple(gathered), _bytes(gathered)))
            gathered = []
        gathered += slots
    if gathered:
        groups.append(Group(tuple(gathered), _bytes(gathered)))
    unique = {id(parameters[name]): parameters[name].nbytes for name in fixed}
    buffers = sum(buffer.nbytes for buffer in net.buffers())
    return Layout(tuple(groups), frozenset(fixed), sum(unique.values()) + buffers)


def aligned(nbytes: int) -> int:
    """`nbytes` as they count in a window."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _bytes(slots: Sequence[Slot]) -> int:
    return sum(aligned(slot.nbytes) for slot in slots)


def _shared(net: nn.Module) -> dict[str, set[str]]:
    """Parameters that are in more than one place, or share their memory with another: all names by each of them."""
    by_storage: dict[int, list[str]] = {}
    for name, weight in net.named_parameters(remove_duplicate=False):
        by_storage.setdefault(weight.untyped_storage()._cdata, []).append(name)
    return {name: set(names) for names in by_storage.values() if len(names) > 1 for name in names}


def _unforeseen(net: nn.Module) -> frozenset[str]:
    """Names of parameters that torch's attention takes out of its child by hand."""
    return frozenset(
        f"{path}.{name}"
        for path, module in net.named_modules()
        if isinstance(module, nn.MultiheadAttention)
        for name, _ in module.named_parameters()
    )
