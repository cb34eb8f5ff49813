"""How weights of the host get into slots on a device: at once, or in a lane of copies beside computing.

With lanes, weights go from where they lie, which may be a mapped file, into pinned memory, and on to the device:

    host      fill stage ---> (waits, in its own thread, until the copy out of the stage is done)
    copies            wait for `usable` --> copy --> mark `arrived`
    computing                                 wait for `arrived` --> compute ... --> mark `usable`

Nobody who computes ever waits for the device on the host; only the thread that fills stages does. Groups that come
again and again keep their pinned memory as far as there may be that much of it, and need not be filled again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol
from weakref import finalize

import torch
from torch import Tensor

from engine.memory.device import Device, Lane, Mark
from engine.memory.ledger import Ledger, Reservation, Use

STAGES = 2  # one is filled while the other is copied from


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor of the host, and where it belongs in a slot."""

    source: Tensor
    offset: int

    def within(self, memory: Tensor) -> Tensor:
        """Its place in `memory` `(bytes,)` as a tensor like it."""
        flat = memory[self.offset : self.offset + self.source.nbytes].view(self.source.dtype)
        return flat.as_strided(self.source.shape, strides(self.source), flat.storage_offset())


def strides(tensor: Tensor) -> tuple[int, ...]:
    """Those of the tensor if it fills its memory, else those of the same shape in order."""
    count = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != count:
            return torch.empty(tensor.shape, device="meta").stride()
        count *= size
    return tensor.stride()


class Transfer(Protocol):
    """Fills the slots of one window."""

    def load(self, slot: int, group: int, parts: Sequence[Part]) -> None:
        """Copy a group into a slot, once what was `released` there is computed."""
        ...

    def wait(self, slot: int) -> None:
        """Let computing go on when the latest load of a slot has arrived."""
        ...

    def release(self, slot: int) -> None:
        """What was told to compute so far is the last that needs what is in a slot."""
        ...

    def close(self) -> None:
        """Nothing is copied any more when this returns."""
        ...


class Direct:
    """For devices with one lane of work: in the order in which it is told."""

    def __init__(self, slots: Sequence[Tensor]) -> None:
        self._slots = slots

    def load(self, slot: int, group: int, parts: Sequence[Part]) -> None:  # noqa: ARG002
        """See `Transfer`."""
        for part in parts:
            part.within(self._slots[slot]).copy_(part.source)

    def wait(self, slot: int) -> None:
        """Nothing: what was told before is done before."""

    def release(self, slot: int) -> None:
        """Nothing: what is told later is done later."""

    def close(self) -> None:
        """Nothing is under way."""


@dataclass(slots=True)
class _Stage:
    """Pinned memory, and when the last copy out of it is done."""

    memory: Tensor
    mark: Mark | None = None

    def idle(self) -> Tensor:
        """The memory, once nothing is copied out of it any more."""
        if self.mark is not None:
            self.mark.synchronize()
        return self.memory


@dataclass(slots=True)
class _Kept:
    """Groups of one window that stay pinned."""

    groups: dict[int, _Stage] = field(default_factory=dict)
    reserved: dict[int, Reservation] = field(default_factory=dict)

    def release(self) -> None:
        for entry in self.reserved.values():
            entry.release()
        self.reserved.clear()
        self.groups.clear()

    def give_up(self, group: int) -> None:
        """Have a group no longer, whose bytes are taken back; it is filled anew where it is needed again."""
        del self.reserved[group]
        stage = self.groups.pop(group, None)
        if stage is not None:
            stage.idle()


class Pinned:
    """The pinned memory for one device, `limit` bytes at the most, and the thread that fills it.

    Its ledger is that of the host: groups that stay are weights there, which may be taken back; stages are staging.
    """

    def __init__(self, device: Device, limit: int) -> None:
        self.device = device
        self.ledger = Ledger("RAM", limit)
        self.filled = 0
        """Bytes that were copied from where they lay into pinned memory so far."""
        self.lane: Lane = device.copying()
        self._stages: list[_Stage] = []
        self._reserved: Reservation | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weights")

    def rest(self) -> None:
        """Wait until the thread has let go of everything."""
        self._thread.submit(int).result()

    def shrink(self, limit: int) -> None:
        """Let there be `limit` bytes from now on; groups that stay are given back as far as needed."""
        self.rest()
        self.ledger.shrink(limit)

    def soon(
        self, kept: _Kept, group: int, parts: Sequence[Part], target: Tensor, usable: Mark, *, at_once: bool
    ) -> Future[Mark]:
        """Fill a stage with `parts` and send it to `target` when that is `usable`: when it will have arrived.

        What need not be filled may be sent `at_once`; all else is sent in the order in which it was asked for.
        """
        stage = kept.groups.get(group)
        if stage is None or not at_once:
            return self._thread.submit(self._filled_and_sent, kept, group, parts, target, usable)
        sent: Future[Mark] = Future()
        sent.set_result(self._sent(stage, target, usable))
        return sent

    def _filled_and_sent(self, kept: _Kept, group: int, parts: Sequence[Part], target: Tensor, usable: Mark) -> Mark:
        stage = kept.groups.get(group)
        if stage is None:
            own = self._own(kept, group, len(target))
            stage = own or self._next(len(target))
            memory = stage.idle()
            for part in parts:
                part.within(memory).copy_(part.source)
                self.filled += part.source.nbytes
            if own is not None:
                kept.groups[group] = own
        return self._sent(stage, target, usable)

    def _sent(self, stage: _Stage, target: Tensor, usable: Mark) -> Mark:
        self.lane.wait_event(usable)
        self.device.send(target, stage.memory[: len(target)], self.lane)
        stage.mark = self.lane.record_event()
        return stage.mark

    def _own(self, kept: _Kept, group: int, nbytes: int) -> _Stage | None:
        """Memory for one group alone, if there may be that much beside the stages for all, and nobody has to go."""
        self._next(nbytes)
        if self.ledger.free < rounded(nbytes):
            return None
        stage = _Stage(self.device.pinned(nbytes))
        kept.reserved[group] = self.ledger.reserve("weights", Use.WEIGHTS, rounded(nbytes), lambda: kept.give_up(group))
        return stage

    def _next(self, nbytes: int) -> _Stage:
        """The stage that was used the longest ago, with at least `nbytes`."""
        if not self._stages or len(self._stages[0].memory) < nbytes:
            self._grow(nbytes)
        self._stages.append(self._stages.pop(0))
        return self._stages[-1]

    def _grow(self, nbytes: int) -> None:
        for stage in self._stages:
            stage.idle()
        self._stages.clear()
        if self._reserved is not None:
            self._reserved.release()
        # without these nothing could be streamed at all, so they are there even where the limit is lower
        wanted = min(STAGES * rounded(nbytes), max(0, self.ledger.free))
        self._reserved = self.ledger.reserve("stages", Use.STAGING, wanted)
        self._stages += (_Stage(self.device.pinned(nbytes)) for _ in range(STAGES))


def rounded(nbytes: int) -> int:
    """What pinned memory takes: torch rounds it up to a power of two."""
    return 1 << max(0, nbytes - 1).bit_length()


class Laned:
    """For devices that copy beside computing."""

    def __init__(self, slots: Sequence[Tensor], pinned: Pinned) -> None:
        self._slots = slots
        self._pinned = pinned
        self._kept = _Kept()
        # the memory of the slots may be some that is still computed with
        self._usable = dict.fromkeys(range(len(slots)), pinned.device.lane().record_event())
        self._arriving: dict[int, Future[Mark]] = {}
        finalize(self, self._kept.release)

    def load(self, slot: int, group: int, parts: Sequence[Part]) -> None:
        """See `Transfer`."""
        nbytes = max((part.offset + part.source.nbytes for part in parts), default=0)
        target, before = self._slots[slot][:nbytes], self._arriving.get(slot)
        self._arriving[slot] = self._pinned.soon(
            self._kept, group, parts, target, self._usable[slot], at_once=before is None or before.done()
        )

    def wait(self, slot: int) -> None:
        """See `Transfer`. The host waits only for a copy that is not even under way."""
        self._pinned.device.lane().wait_event(self._arriving[slot].result())

    def release(self, slot: int) -> None:
        """See `Transfer`."""
        self._usable[slot] = self._pinned.device.lane().record_event()

    def close(self) -> None:
        """See `Transfer`."""
        for future in self._arriving.values():
            if future.exception() is None:
                future.result().synchronize()
        self._pinned.rest()
        self._kept.release()


def transfer(slots: Sequence[Tensor], pinned: Pinned | None) -> Transfer:
    """What fills `slots` on a device with or without a lane for copies."""
    return Direct(slots) if pinned is None else Laned(slots, pinned)
