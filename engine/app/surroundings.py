"""What a run on this machine finds around it: a device, files, and a place for results."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

from engine.app.timings import Timings
from engine.foundation.settings import DEFAULT_RAM_RESERVE, Settings
from engine.memory.device import SIMULATED, SIMULATED_BYTES, Device, open_device
from engine.memory.handle import tenants_in
from engine.memory.host import Host
from engine.memory.ledger import Use
from engine.memory.precision import PRECISIONS, USUAL, Precisions, asked_for
from engine.memory.room import Room
from engine.node.context import Place
from engine.runtime.executor import Foresight
from engine.store.artifacts import Artifact, ArtifactStore
from engine.store.folders import Folders, folders

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The services of `runtime.executor.RunServices` over the folders of this machine."""

    device: torch.device
    folders: Folders
    artifacts: ArtifactStore
    metadata: Mapping[str, str] = field(default_factory=dict)
    hardware: Device | None = None
    room: Room | None = None
    host: Host = field(default_factory=lambda: Host(DEFAULT_RAM_RESERVE))
    precisions: Precisions = USUAL

    def memory(self) -> dict[str, int]:
        """Bytes by name: of the device, of which torch holds some, of the machine, and those in the books."""
        assert self.hardware is not None
        there = self.hardware.figures()
        figures = {"device_total": there.total, "device_free": max(0, there.free), "host_free": self.host.free()}
        if self.hardware.can.own_memory:
            figures |= {"torch_total": there.held, "torch_free": there.held - there.used}
        if self.room is not None:
            figures |= {f"ledger_{use}": nbytes for use, nbytes in self.room.ledger.figures().items()}
            figures["out_of_memory"] = self.room.out_of_memory
            pinned = {} if self.room.pinned is None else self.room.pinned.ledger.figures()
            figures["host_pinned"] = sum(pinned.get(use, 0) for use in Use)
            figures["host_staging"] = pinned.get(Use.STAGING, 0)
        return figures

    @contextmanager
    def working(self) -> Iterator[None]:
        """A block in which nets have the types that were asked for, and share the memory of the device by plan."""
        token = PRECISIONS.set(self.precisions)
        try:
            with nullcontext() if self.room is None else self.room.entered():
                yield
        finally:
            PRECISIONS.reset(token)

    def foresee(self, upcoming: Foresight) -> None:
        """Let those who plan memory know what will be used soon: what goes is what is wanted last."""
        room = self.room
        if room is not None:
            room.upcoming = lambda: tenants_in(upcoming(), room)

    def files(self, kind: str) -> Sequence[str]:
        """The names of the files of a kind."""
        return self.folders.list(kind)

    def fingerprint(self, kind: str, name: str) -> str:
        """A token that changes when the file does."""
        return self.folders.fingerprint(kind, name)

    def file(self, kind: str, name: str) -> Path:
        """The file called `name` in the folders of `kind`."""
        return self.folders.find(kind, name)

    def save(self, data: bytes | memoryview, prefix: str, suffix: str, place: Place, size: tuple[int, int]) -> Artifact:
        """Write a result below the output or temp folder."""
        return self.artifacts.save(data, prefix, suffix, place, size)


def surroundings(settings: Settings) -> Surroundings:
    """The surroundings that `settings` describe. Raises `DeviceError` or `FolderError`."""
    store = ArtifactStore({"output": settings.output, "temp": settings.temp})
    device = open_device(settings.device, settings.vram_budget or SIMULATED_BYTES)
    return Surroundings(
        device.place,
        folders(settings),
        store,
        hardware=device,
        room=_room(device, settings),
        host=Host(settings.ram_reserve),
        precisions=asked_for(settings),
    )


def _room(device: Device, settings: Settings) -> Room | None:
    """Where memory is planned: on the simulated device, and where it is asked for on others with memory of their own.

    Without a wish of the user accelerators do as they always did, until plans were measured on them.
    """
    asked = settings.vram_budget is not None or settings.reserve_vram or settings.vram_policy is not None
    if not device.can.own_memory or not (asked or device.kind == SIMULATED):
        return None
    policy = settings.vram_policy or "normal"
    return Room(device, settings.vram_budget, reserve=settings.reserve_vram, policy=policy, note=_log.warning)


def timings_of(settings: Settings, around: Surroundings) -> Timings:
    """How long nodes took on the device under flags that change it."""
    place = around.device
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else settings.device or place.type
    text = settings.text_type and f"text {settings.text_type}"
    vae = "cpu vae" if settings.cpu_vae else settings.vae_type
    flags = (settings.unet_type, vae, text, settings.vram_budget, settings.vram_policy)
    marks = [str(flag) for flag in flags if flag is not None]
    return Timings(settings.user / "cache" / "seconds.json", " ".join([name, *marks]))
