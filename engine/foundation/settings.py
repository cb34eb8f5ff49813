"""Where things are and what may be used: plain data, made once from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

DEFAULT_CACHE_BYTES = 2 * 2**30
DEFAULT_RAM_RESERVE = 2**30

VramPolicy: TypeAlias = Literal["high", "normal", "low", "none"]
WeightType: TypeAlias = Literal["fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2", "int8"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Folders, device and budgets of a process. Every path is absolute.

    `vram_budget` bytes of the device may be used (None: what is free) less `reserve_vram` for others; `vram_policy`
    says how eagerly nets stay there. `ram_reserve` bytes of the machine's memory are to stay free. The types are those
    that parts of models were asked to have (None: the usual ones); with `cpu_vae` autoencoders compute on the CPU.
    """

    base: Path
    output: Path
    input: Path
    temp: Path
    user: Path
    extra_model_paths: tuple[Path, ...] = ()
    device: str | None = None
    cache_bytes: int = DEFAULT_CACHE_BYTES
    vram_budget: int | None = None
    reserve_vram: int = 0
    vram_policy: VramPolicy | None = None
    ram_reserve: int = DEFAULT_RAM_RESERVE
    unet_type: WeightType | None = None
    vae_type: WeightType | None = None
    text_type: WeightType | None = None
    cpu_vae: bool = False
    channels_last: bool = False
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


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """The settings as JSON data, for a process that is to work under the same ones."""
    return {item.name: _plain(getattr(settings, item.name)) for item in fields(settings)}


def settings_from_json(data: Mapping[str, Any]) -> Settings:
    """The inverse of `settings_to_json`."""
    paths = {name: Path(data[name]) for name in ("base", "output", "input", "temp", "user")}
    extra = tuple(map(Path, data["extra_model_paths"]))
    return Settings(**{**data, **paths, "extra_model_paths": extra})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value) if isinstance(value, Path) else value
