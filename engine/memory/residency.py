"""Where the weights of one net are: on the host, on the device, or on their way through a window.

The host's tensors are never written to. Whole on the device, a net has the device's copies in their place and knows of
nothing. Streamed, it has the host's, and every module gets copies for the time of its call: from what is resident, or
from the ring. Where weights are to be others than the net's own, they are made so on the device: those that stay once,
those that are streamed each time, right after they arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from engine.memory.changed import UNCHANGED, Changed, WeightChange
from engine.memory.device import Device
from engine.memory.groups import Group, Layout, Slot, aligned
from engine.memory.ring import Ring
from engine.memory.transfer import Part, Pinned, transfer


@dataclass(frozen=True, slots=True)
class _Swapped:
    """A place whose data is the device's, the host's data, and what was done to it."""

    tensor: Tensor
    host: Tensor
    change: WeightChange | None


class Residency:
    """The place of one net's weights on one device. Between uses it is whole, in part or not at all on the device.

    With `pinned` memory streamed weights are copied beside computing.
    """

    def __init__(self, net: nn.Module, device: Device, pinned: Pinned | None = None) -> None:
        self._net = net
        self._device = device
        self._pinned = pinned
        self._swapped: dict[str, _Swapped] = {}
        self._copies: dict[str, tuple[WeightChange | None, Tensor]] = {}
        self._stream: _Stream | None = None
        self.uploads = 0
        """Bytes that were copied to the device to stay, so far."""
        self.remade = 0
        """Weights that were changed on the device, so far."""

    @property
    def whole(self) -> bool:
        """Whether all weights are on the device and nothing has to be done to use them."""
        return len(self._swapped) == len(self._tensors())

    def bring(self, names: frozenset[str] | None = None, changed: Changed = UNCHANGED) -> None:
        """Put the weights called `names` (None: all) and all buffers on the device, and no others in their place.

        Those that are `changed` are so there. Of those that are there, only what is done to them now and was not
        before, or the other way round, is brought anew.
        """
        tensors = self._tensors()
        buffers = {name for name, _ in self._net.named_buffers()}
        wanted = tensors.keys() if names is None else names | buffers
        for name, held in list(self._swapped.items()):
            if name not in wanted or held.change != changed.get(name):
                self._put_back(name)
        if names is None:
            self._copies.clear()
            self._close()
        with torch.inference_mode(mode=False):
            for name, tensor in tensors.items():
                if name in wanted and name not in self._swapped:
                    change = changed.get(name)
                    made = self._made(tensor.data, change)
                    self._swapped[name] = _Swapped(tensor, tensor.data, change)
                    tensor.data = made
                    self.uploads += made.nbytes

    def leave(self) -> None:
        """Have nothing on the device."""
        for name in list(self._swapped):
            self._put_back(name)
        self._copies.clear()
        self._close()

    @contextmanager
    def streamed(
        self, layout: Layout, resident: tuple[bool, ...], slots: int, changed: Changed = UNCHANGED
    ) -> Iterator[None]:
        """Within the block the net computes with the groups that are not `resident` streamed through `slots` slots."""
        self.bring(layout.fixed, changed)
        kept = {
            slot.name for group, stays in zip(layout.groups, resident, strict=True) if stays for slot in group.slots
        }
        for name in [name for name in self._copies if name not in kept]:
            del self._copies[name]
        for name, tensor in self._tensors().items():
            if name not in self._swapped:
                self._device.left(tensor)
        if self._stream is None or not self._stream.fits(layout, resident, slots):
            self._close()  # its window goes before there is another
            self._stream = _Stream(layout, resident, slots, self._device, self._pinned)
        stream = self._stream
        self._stream = None
        try:
            with ExitStack() as hooks:
                for place, group in enumerate(layout.groups):
                    fetch = self._resident if resident[place] else partial(self._arrived, stream.window)
                    for module in dict.fromkeys(slot.module for slot in group.slots):
                        own = tuple((slot, changed.get(slot.name)) for slot in group.slots if slot.module is module)
                        visit = _Visit(own, fetch, stream.ring, None if resident[place] else place)
                        hooks.callback(module.register_forward_pre_hook(visit.begin).remove)
                        hooks.callback(module.register_forward_hook(visit.end, always_call=True).remove)
                        hooks.callback(visit.restore)
                yield
            stream.ring.leave()
        except BaseException:
            stream.window.close()
            raise
        self._stream = stream  # kept only after an orderly end, with what was fetched ahead for the next pass

    def _resident(self, slot: Slot, change: WeightChange | None) -> Tensor:
        """The resident copy of what is in a place, made when it is first asked for."""
        kept = self._copies.get(slot.name)
        if kept is not None and kept[0] == change:
            return kept[1]
        del kept
        self._copies.pop(slot.name, None)
        copy = self._made(slot.parameter.data, change)
        self.uploads += copy.nbytes
        self._copies[slot.name] = (change, copy)
        return copy

    def _arrived(self, window: _Window, slot: Slot, change: WeightChange | None) -> Tensor:
        """What arrived in a window for a place, or what is made of it for one call."""
        copy = window.fetch(slot)
        return copy if change is None else self._changed(copy, change)

    def _made(self, host: Tensor, change: WeightChange | None) -> Tensor:
        """A copy of the host's tensor on the device, with what is done to it."""
        copy = self._device.upload(host)
        return copy if change is None else self._changed(copy, change)

    def _changed(self, weight: Tensor, change: WeightChange) -> Tensor:
        self.remade += 1
        with self._device.computing():
            return change.made(weight, self._device.upload)

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.window.close()
            self._stream = None

    def _put_back(self, name: str) -> None:
        held = self._swapped.pop(name)
        with torch.inference_mode(mode=False):
            held.tensor.data = held.host

    def _tensors(self) -> dict[str, Tensor]:
        """Every parameter and buffer, each once."""
        return dict((*self._net.named_parameters(), *self._net.named_buffers()))


class _Stream:
    """A window with its ring, for one way to stream a net."""

    def __init__(
        self, layout: Layout, resident: tuple[bool, ...], slots: int, device: Device, pinned: Pinned | None
    ) -> None:
        self._way = (layout, resident, slots)
        order = [place for place, stays in enumerate(resident) if not stays]
        widest = max((layout.groups[place].nbytes for place in order), default=0)
        self.window = _Window(layout.groups, device, widest, slots, pinned)
        self.ring = Ring(order, slots, self.window)

    def fits(self, layout: Layout, resident: tuple[bool, ...], slots: int) -> bool:
        """Whether this is that way."""
        return self._way[0] is layout and self._way[1:] == (resident, slots)


class _Visit:
    """One module with its places: what it has on the device during a call of it."""

    def __init__(
        self,
        slots: tuple[tuple[Slot, WeightChange | None], ...],
        fetch: Callable[[Slot, WeightChange | None], Tensor],
        ring: Ring,
        place: int | None,
    ) -> None:
        self._slots = slots
        self._fetch = fetch
        self._ring = ring
        self._place = place
        self._own: list[tuple[Slot, nn.Parameter]] = []

    def begin(self, _module: nn.Module, _inputs: object) -> None:
        """Put copies on the device into the places."""
        if self._place is None:
            self._ring.leave()
        else:
            self._ring.enter(self._place)
        for slot, change in self._slots:
            source, copy = slot.parameter, self._fetch(slot, change)
            self._own.append((slot, source))
            slot.module._parameters[slot.leaf] = nn.Parameter(copy, requires_grad=False)

    def end(self, _module: nn.Module, _inputs: object, _output: object) -> None:
        """Put the host's parameters back."""
        self.restore()

    def restore(self) -> None:
        """Put the host's parameters back, if that is still to be done."""
        while self._own:
            slot, source = self._own.pop()
            slot.module._parameters[slot.leaf] = source


class _Window:
    """Slots of memory on the device that groups are copied to."""

    def __init__(
        self, groups: tuple[Group, ...], device: Device, window: int, slots: int, pinned: Pinned | None
    ) -> None:
        with torch.inference_mode(mode=False):
            self._buffers = [device.empty(window) for _ in range(slots)]
        self._transfer = transfer(self._buffers, pinned)
        self._groups = groups
        self._copies: dict[str, Tensor] = {}

    def load(self, slot: int, group: int) -> None:
        """Copy the weights of a group into a slot, once what was `released` there is computed."""
        offset, parts = 0, []
        for place in self._groups[group].slots:
            part = Part(place.parameter.data, offset)
            self._copies[place.name] = part.within(self._buffers[slot])
            parts.append(part)
            offset += aligned(place.nbytes)
        self._transfer.load(slot, group, parts)

    def wait(self, slot: int) -> None:
        """Let computing go on when the latest load of a slot has arrived."""
        self._transfer.wait(slot)

    def release(self, slot: int) -> None:
        """What was told to compute so far is the last that needs the slot's weights."""
        self._transfer.release(slot)

    def fetch(self, slot: Slot) -> Tensor:
        """The copy of what is in a place, whose group was entered last."""
        return self._copies[slot.name]

    def close(self) -> None:
        """End what is under way and have nothing."""
        self._transfer.close()
