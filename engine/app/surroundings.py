"""What a run on this machine finds around it: a device, files, and a place for results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

from engine.foundation.settings import Settings
from engine.memory.device import SIMULATED, SIMULATED_BYTES, Device, open_device
from engine.memory.handle import tenants_in
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
    room: Room | None = None

    def working(self) -> AbstractContextManager[None]:
        """A block in which nets share the memory of the device by plan, where there is one."""
        return nullcontext() if self.room is None else self.room.entered()

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
    return Surroundings(device.place, folders(settings), store, room=_room(device, settings))


def _room(device: Device, settings: Settings) -> Room | None:
    """Where memory is planned: on the simulated device, and where it is asked for on others with memory of their own.

    Without a wish of the user accelerators do as they always did, until plans were measured on them.
    """
    asked = settings.vram_budget is not None or settings.reserve_vram or settings.vram_policy is not None
    if not device.can.own_memory or not (asked or device.kind == SIMULATED):
        return None
    policy = settings.vram_policy or "normal"
    return Room(device, settings.vram_budget, reserve=settings.reserve_vram, policy=policy, note=_log.warning)
