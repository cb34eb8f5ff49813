"""What can be wrong with what steers a net."""

from __future__ import annotations

from typing import ClassVar

from engine.foundation.errors import EaselError
from engine.models.nets.unet import UNetConfig

_FAMILIES = {768: "SD 1", 1024: "SD 2", 2048: "SDXL", 1280: "the SDXL refiner"}


class ControlError(EaselError):
    """A ControlNet, adapter or the like that does not go with its model or with what it is given."""

    code: ClassVar[str] = "bad_control"


def family_of(context_channels: int) -> str:
    """The family of nets that take tokens of a width, in words."""
    known = _FAMILIES.get(context_channels)
    width = f"tokens of width {context_channels}"
    return width if known is None else f"{known} ({width})"


def other_base(name: str, what: str, config: UNetConfig, got: str) -> ControlError:
    """The error for a file that was made for another base model than the net it is used with."""
    return ControlError(
        f"this {what} is for another base model",
        where=name,
        expected=f"one for {family_of(config.context_channels)}, the model that is sampled",
        got=f"one for {got}",
        hint=f"Load a {what} made for the checkpoint, or a checkpoint of its family.",
    )
