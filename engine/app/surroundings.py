"""What a run on this machine finds around it: a device, files, and a place for results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from engine.foundation.settings import Settings
from engine.memory.device import open_device
from engine.node.context import Place
from engine.store.artifacts import Artifact, ArtifactStore
from engine.store.folders import Folders, folders


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The services of `runtime.executor.RunServices` over the folders of this machine."""

    device: torch.device
    folders: Folders
    artifacts: ArtifactStore
    metadata: Mapping[str, str] = field(default_factory=dict)

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
    return Surroundings(open_device(settings.device).place, folders(settings), store)
