"""Where the weights of one net are: on the host, on the device, or on their way through a window.

The host's tensors are never written to. Whole on the device, a net has the device's copies in their place and knows of
nothing. Streamed, it has the host's, which may be exchanged (adapters do), and every module gets copies of what it has
right then for the time of its call: from what is resident, or from the ring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from engine.memory.device import Device
from engine.memory.groups import Group, Layout, Slot, aligned
from engine.memory.ring import Ring


class Residency:
    """The place of one net's weights on one device. Between uses it is whole, in part or not at all on the device."""

    def __init__(self, net: nn.Module, device: Device) -> None:
        self._net = net
        self._device = device
        self._swapped: dict[str, tuple[Tensor, Tensor]] = {}  # places whose data is the device's, and the host's data
        self._copies: dict[str, tuple[nn.Parameter, Tensor]] = {}
        self._stream: _Stream | None = None
        self.uploads = 0
        """Bytes that were copied to the device to stay, so far."""

    @property
    def whole(self) -> bool:
        """Whether all weights are on the device and nothing has to be done to use them."""
        return len(self._swapped) == len(self._tensors())

    def bring(self, names: frozenset[str] | None = None) -> None:
        """Put the weights called `names` (None: all) and all buffers on the device, and no others in their place."""
        buffers = {name for name, _ in self._net.named_buffers()}
        tensors = self._tensors()
        for name in [name for name in self._swapped if names is not None and name not in names and name not in buffers]:
            self._put_back(name)
        if names is None:
            self._copies.clear()
            self._stream = None
        with torch.inference_mode(mode=False):
            for name, tensor in tensors.items():
                if name not in self._swapped and (names is None or name in names or name in buffers):
                    self._swapped[name] = (tensor, tensor.data)
                    tensor.data = self._device.upload(tensor.data)
                    self.uploads += tensor.nbytes

    def leave(self) -> None:
        """Have nothing on the device."""
        for name in list(self._swapped):
            self._put_back(name)
        self._copies.clear()
        self._stream = None

    @contextmanager
    def streamed(self, layout: Layout, resident: tuple[bool, ...], slots: int) -> Iterator[None]:
        """Within the block the net computes with the groups that are not `resident` streamed through `slots` slots."""
        self.bring(layout.fixed)
        kept = {
            slot.name for group, stays in zip(layout.groups, resident, strict=True) if stays for slot in group.slots
        }
        for name in [name for name in self._copies if name not in kept]:
            del self._copies[name]
        for name, tensor in self._tensors().items():
            if name not in self._swapped:
                self._device.left(tensor)
        if self._stream is None or not self._stream.fits(layout, resident, slots):
            self._stream = None  # its window goes before there is another
            self._stream = _Stream(layout, resident, slots, self._device)
        stream = self._stream
        self._stream = None
        with ExitStack() as hooks:
            for place, group in enumerate(layout.groups):
                fetch = self._fetch if resident[place] else stream.window.fetch
                for module in dict.fromkeys(slot.module for slot in group.slots):
                    own = tuple(slot for slot in group.slots if slot.module is module)
                    visit = _Visit(own, fetch, stream.ring, None if resident[place] else place)
                    hooks.callback(module.register_forward_pre_hook(visit.begin).remove)
                    hooks.callback(module.register_forward_hook(visit.end, always_call=True).remove)
                    hooks.callback(visit.restore)
            yield
        stream.ring.leave()
        self._stream = stream  # kept only after an orderly end, with what was fetched ahead for the next pass

    def _fetch(self, slot: Slot, source: nn.Parameter) -> Tensor:
        """The resident copy of what is in a place, made when it is first asked for."""
        kept = self._copies.get(slot.name)
        if kept is not None and kept[0] is source:
            return kept[1]
        self._copies.pop(slot.name, None)
        copy = self._device.upload(source.data)
        self.uploads += copy.nbytes
        self._copies[slot.name] = (source, copy)
        return copy

    def _put_back(self, name: str) -> None:
        tensor, host = self._swapped.pop(name)
        with torch.inference_mode(mode=False):
            tensor.data = host

    def _tensors(self) -> dict[str, Tensor]:
        """Every parameter and buffer, each once."""
        return dict((*self._net.named_parameters(), *self._net.named_buffers()))


class _Stream:
    """A window with its ring, for one way to stream a net."""

    def __init__(self, layout: Layout, resident: tuple[bool, ...], slots: int, device: Device) -> None:
        self._way = (layout, resident, slots)
        order = [place for place, stays in enumerate(resident) if not stays]
        widest = max((layout.groups[place].nbytes for place in order), default=0)
        self.window = _Window(layout.groups, device, widest, slots)
        self.ring = Ring(order, slots, self.window)

    def fits(self, layout: Layout, resident: tuple[bool, ...], slots: int) -> bool:
        """Whether this is that way."""
        return self._way[0] is layout and self._way[1:] == (resident, slots)


class _Visit:
    """One module with its places: what it has on the device during a call of it."""

    def __init__(
        self, slots: tuple[Slot, ...], fetch: Callable[[Slot, nn.Parameter], Tensor], ring: Ring, place: int | None
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
        for slot in self._slots:
            source = slot.parameter
            copy = self._fetch(slot, source)
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
    """Slots of memory on the device that groups are copied to, in the one order of work that every device has."""

    def __init__(self, groups: tuple[Group, ...], device: Device, window: int, slots: int) -> None:
        self._groups = groups
        self._device = device
        with torch.inference_mode(mode=False):
            self._buffers = [device.empty(window) for _ in range(slots)]
        self._content: dict[str, tuple[nn.Parameter, Tensor]] = {}
        self._held: dict[int, int] = {}

    def load(self, slot: int, group: int) -> None:
        """Copy what is in the places of a group now into a slot."""
        for place in self._groups[self._held[slot]].slots if slot in self._held else ():
            self._content.pop(place.name, None)
        self._held[slot] = group
        offset = 0
        for place in self._groups[group].slots:
            source = place.parameter
            if source.nbytes > place.nbytes:  # exchanged for one of a wider type: it comes when it is asked for
                offset += aligned(place.nbytes)
                continue
            flat = self._buffers[slot][offset : offset + source.nbytes].view(source.dtype)
            copy = flat.as_strided(source.shape, _strides(source), flat.storage_offset())
            copy.copy_(source.data)
            self._content[place.name] = (source, copy)
            offset += aligned(place.nbytes)

    def wait(self, slot: int) -> None:
        """Nothing: copies and computing are one lane here."""

    def release(self, slot: int) -> None:
        """Nothing: copies and computing are one lane here."""

    def fetch(self, slot: Slot, source: nn.Parameter) -> Tensor:
        """The copy of what is in a place, which was exchanged since its group was fetched if it is another one."""
        held, copy = self._content.get(slot.name, (None, None))
        if copy is None or (held is not source and (copy.shape, copy.dtype) != (source.shape, source.dtype)):
            return self._device.upload(source.data)
        if held is not source:
            copy.copy_(source.data)
            self._content[slot.name] = (source, copy)
        return copy


def _strides(tensor: Tensor) -> tuple[int, ...]:
    """Those of the tensor if it fills its memory, else those of the same shape in order."""
    count = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != count:
            return torch.empty(tensor.shape, device="meta").stride()
        count *= size
    return tensor.stride()
