"""Devices: what there is, what each can do, how much memory it has, and how weights get there.

What differs between kinds of device is said here, once: CUDA (and ROCm, which torch calls CUDA), XPU, MPS, the CPU, and
a simulated device, which computes on the CPU but has only so many bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import psutil
import torch
from torch import Tensor
from torch.utils._pytree import tree_iter

from engine.foundation.errors import EaselError
from engine.memory.counting import LiveBytes
from engine.memory.simulated import Simulation

Kind: TypeAlias = Literal["cuda", "rocm", "xpu", "mps", "cpu", "simulated"]
SIMULATED_BYTES = 8 * 2**30  # what a simulated device has where nobody says
SIMULATED: Literal["simulated"] = "simulated"


OVERHEAD = 256 * 2**20
"""Bytes of an accelerator that go to kernels, which are loaded when they are first used, and to their libraries."""

# What torch raises as a plain RuntimeError: Apple's allocator, the driver, and libraries that allocate by themselves.
_RAN_OUT = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "UR_RESULT_ERROR_OUT_OF")


class DeviceError(EaselError):
    """A device that does not exist on this machine."""

    code: ClassVar[str] = "unknown_device"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a kind of device can do.

    With `own_memory` weights have to be copied there, else the host's are computed on where they are. `streams` says
    that copies may run beside computing, and `pinned` that buffers of the host can be locked for that.
    """

    own_memory: bool
    streams: bool = False
    pinned: bool = False


CAPABILITIES: dict[Kind, Capabilities] = {
    "cuda": Capabilities(own_memory=True, streams=True, pinned=True),
    "rocm": Capabilities(own_memory=True, streams=True, pinned=True),
    "xpu": Capabilities(own_memory=True, streams=True, pinned=True),
    "mps": Capabilities(own_memory=True),
    "cpu": Capabilities(own_memory=False),
    SIMULATED: Capabilities(own_memory=True),
}


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Bytes of a device: all, those that nobody has, those that torch holds, and those of them that are in use."""

    total: int
    free: int
    held: int = 0
    used: int = 0


class Mark(Protocol):
    """A point in what a lane was told; torch's events are such."""

    def synchronize(self) -> None:
        """Wait, on the host, until the lane got there."""
        ...


class Lane(Protocol):
    """Work that a device does in order, beside that of other lanes; torch's streams are such."""

    def record_event(self) -> Mark:
        """What the lane was told so far."""
        ...

    def wait_event(self, event: Any) -> None:
        """Let what the lane is told from now on wait for a point in another one."""
        ...


class Device:
    """The CPU, and what all devices have in common. `place` is its name in torch."""

    def __init__(self, place: torch.device, kind: Kind) -> None:
        self.place = place
        self.kind = kind

    @property
    def name(self) -> str:
        """What people call it, as in `--device`."""
        return str(self.place)

    @property
    def can(self) -> Capabilities:
        """What its kind can do."""
        return CAPABILITIES[self.kind]

    @property
    def overhead(self) -> int:
        """Bytes of what is free that nobody may plan with."""
        return 0

    def figures(self) -> MemoryFigures:
        """How much memory it has now."""
        machine = psutil.virtual_memory()
        return MemoryFigures(machine.total, machine.available)

    def upload(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor of the host with the same strides; the tensor itself where memory is the host's."""
        return tensor

    def empty(self, nbytes: int) -> Tensor:
        """`nbytes` of its memory, `(nbytes,)` uint8, with whatever is in there."""
        return torch.empty(nbytes, dtype=torch.uint8, device=self.place)

    def left(self, tensor: Tensor) -> None:
        """`tensor` is to stay on the host; nothing of the device's may be computed with it."""

    def landed(self, result: object) -> None:
        """What work gave back is on the host, where it was copied to."""

    def copying(self) -> Lane:
        """A new lane for copies; for devices that have streams."""
        raise NotImplementedError(f"{self.name} has one lane of work")

    def lane(self) -> Lane:
        """The lane that the calling thread computes in; for devices that have streams."""
        raise NotImplementedError(f"{self.name} has one lane of work")

    def pinned(self, nbytes: int) -> Tensor:
        """`nbytes` of the host's memory that stay where they are, `(nbytes,)` uint8, so that copies need no help."""
        raise NotImplementedError(f"{self.name} cannot pin memory")

    def send(self, target: Tensor, source: Tensor, lane: Lane) -> None:
        """Tell `lane` to copy `source`, which is pinned, into `target`, which is the device's."""
        raise NotImplementedError(f"{self.name} has one lane of work")

    def seconds(self, work: Callable[[], object]) -> float:
        """How long `work` takes, from an idle device until it is done."""
        self.finish()
        begin = perf_counter()
        work()
        self.finish()
        return perf_counter() - begin

    def finish(self) -> None:
        """Wait until everything that it was told is done."""

    def empty_cache(self) -> None:
        """Give back what torch holds but does not use."""

    def peak(self) -> int | None:
        """The most bytes that were in use since `reset_peak`; None where nobody counts."""
        return None

    def reset_peak(self) -> None:
        """Look for the peak anew, from what is in use now."""

    def computing(self) -> AbstractContextManager[object]:
        """A block whose operations are those of the device."""
        return nullcontext()


class Accelerator(Device):
    """A device that torch calls an accelerator: memory of its own, with a caching allocator before it."""

    @property
    def overhead(self) -> int:
        """Bytes of what is free that nobody may plan with."""
        return OVERHEAD

    def figures(self) -> MemoryFigures:
        """How much memory it has now."""
        free, total = torch.accelerator.get_memory_info(self.place)
        held = torch.accelerator.memory_reserved(self.place)
        return MemoryFigures(total, free, held, torch.accelerator.memory_allocated(self.place))

    def upload(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor of the host with the same strides."""
        return tensor.to(self.place)

    def copying(self) -> torch.Stream:
        """A new lane for copies."""
        return torch.Stream(self.place)

    def lane(self) -> torch.Stream:
        """The lane that the calling thread computes in."""
        return torch.accelerator.current_stream(self.place)

    def pinned(self, nbytes: int) -> Tensor:
        """`nbytes` of the host's memory that stay where they are, if the system locks that many."""
        try:
            return torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)
        except RuntimeError:  # copies out of other memory are right, too, only slower
            return torch.empty(nbytes, dtype=torch.uint8)

    def send(self, target: Tensor, source: Tensor, lane: Lane) -> None:
        """Tell `lane` to copy `source` into `target`."""
        assert isinstance(lane, torch.Stream)
        with lane:
            target.copy_(source, non_blocking=True)
        target.record_stream(lane)  # if it is let go of before it arrived, nobody else gets the memory before

    def finish(self) -> None:
        """Wait until everything that it was told is done."""
        torch.accelerator.synchronize(self.place)

    def empty_cache(self) -> None:
        """Give back what torch holds but does not use."""
        torch.accelerator.empty_cache()

    def peak(self) -> int | None:
        """The most bytes that were in use since `reset_peak`."""
        return torch.accelerator.max_memory_allocated(self.place)

    def reset_peak(self) -> None:
        """Look for the peak anew, from what is in use now."""
        torch.accelerator.reset_peak_memory_stats(self.place)


class Mps(Device):
    """Apple's device: its memory is the machine's, and nobody counts peaks."""

    def figures(self) -> MemoryFigures:
        """How much memory it has now, of what the system recommends to use."""
        total, held = torch.mps.recommended_max_memory(), torch.mps.driver_allocated_memory()
        return MemoryFigures(total, max(0, total - held), held, torch.mps.current_allocated_memory())

    def upload(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor of the host."""
        return tensor.to(self.place)

    def finish(self) -> None:
        """Wait until everything that it was told is done."""
        torch.mps.synchronize()

    def empty_cache(self) -> None:
        """Give back what torch holds but does not use."""
        torch.mps.empty_cache()


class SimulatedDevice(Device):
    """Computes on the CPU, but has `total` bytes and fails beyond them as an accelerator does."""

    def __init__(self, total: int = SIMULATED_BYTES) -> None:
        super().__init__(torch.device("cpu"), SIMULATED)
        self.simulation = Simulation(total)

    @property
    def name(self) -> str:
        """What people call it."""
        return SIMULATED

    def figures(self) -> MemoryFigures:
        """How much of its memory is in use; less than none is free after its limit was lowered below that."""
        live = self.simulation.live
        return MemoryFigures(self.simulation.limit, self.simulation.limit - live, live, live)

    def upload(self, tensor: Tensor) -> Tensor:
        """A copy that counts as the device's."""
        return self.simulation.upload(tensor)

    def empty(self, nbytes: int) -> Tensor:
        """Bytes of its memory."""
        made = super().empty(nbytes)
        self.simulation.count(made)
        return made

    def left(self, tensor: Tensor) -> None:
        """`tensor` is to stay on the host."""
        self.simulation.leave(tensor)

    def landed(self, result: object) -> None:
        """What work gave back is on the host: a copy to there is none here, so its bytes are no longer counted."""
        for item in tree_iter(result):
            if isinstance(item, Tensor):
                self.simulation.forget(item)

    def peak(self) -> int | None:
        """The most bytes that were in use since `reset_peak`."""
        return self.simulation.peak

    def reset_peak(self) -> None:
        """Look for the peak anew, from what is in use now."""
        self.simulation.reset_peak()

    def computing(self) -> AbstractContextManager[LiveBytes | None]:
        """A block whose operations are counted; one within another is the same one."""
        return nullcontext() if self.simulation.entered else self.simulation


@contextmanager
def refusing() -> Iterator[None]:
    """A block in which `torch.OutOfMemoryError` is what is raised, however a device says that its memory ran out."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if any(mark in str(error) for mark in _RAN_OUT):
            raise torch.OutOfMemoryError(str(error)) from error
        raise


def available() -> list[str]:
    """Names of the devices of this machine, the best first; `cpu` and `simulated` are always among them."""
    found = torch.accelerator.current_accelerator(check_available=True)
    names: list[str] = []
    if found is not None:
        count = torch.accelerator.device_count()
        names = [found.type] if found.type == "mps" else [f"{found.type}:{number}" for number in range(count)]
    return [*names, "cpu", SIMULATED]


def open_device(name: str | None, simulated_bytes: int = SIMULATED_BYTES) -> Device:
    """The device called `name`, or the best one; a simulated one has `simulated_bytes`.

    A kind without a number is the first of that kind. Raises `DeviceError` that lists those there are.
    """
    names = available()
    wanted = names[0] if name is None else name
    if wanted not in names and f"{wanted}:0" in names:
        wanted = f"{wanted}:0"
    if wanted not in names:
        raise DeviceError("there is no such device", where="--device", got=wanted, expected=" or ".join(names))
    if wanted == SIMULATED:
        return SimulatedDevice(simulated_bytes)
    place = torch.device(wanted)
    match place.type:
        case "cpu":
            return Device(place, "cpu")
        case "mps":
            return Mps(place, "mps")
        case "xpu":
            return Accelerator(place, "xpu")
        case _:
            return Accelerator(place, "rocm" if torch.version.hip else "cuda")
