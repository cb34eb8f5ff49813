"""Where things are and what may be used: plain data, made once from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_CACHE_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Settings:
    """Folders, device and budgets of a process. Every path is absolute."""

    base: Path
    output: Path
    input: Path
    temp: Path
    user: Path
    extra_model_paths: tuple[Path, ...] = ()
    device: str | None = None
    cache_bytes: int = DEFAULT_CACHE_BYTES
    custom_nodes: bool = True

    @property
    def models(self) -> Path:
        """The folder that holds one folder for each kind of model file."""
        return self.base / "models"

    @property
    def packs(self) -> Path:
        """The folder of the user's node packs."""
        return self.base / "custom_nodes"


def settings_under(base: Path) -> Settings:
    """The default layout: everything under `base`."""
    base = base.absolute()
    return Settings(base, base / "output", base / "input", base / "temp", base / "user")
