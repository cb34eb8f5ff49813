"""What can be wrong with what steers a net."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from torch import nn

from engine.foundation.errors import EaselError
from engine.models.nets.unet import UNetConfig
from engine.models.widths import family_of_tokens

Net = TypeVar("Net", bound=nn.Module)


class ControlError(EaselError):
    """A ControlNet, adapter or the like that does not go with its model or with what it is given."""

    code: ClassVar[str] = "bad_control"


def other_base(name: str, what: str, config: UNetConfig, got: str) -> ControlError:
    """The error for a file that was made for another base model than the net it is used with."""
    return ControlError(
        f"this {what} is for another base model",
        where=name,
        expected=f"one for {family_of_tokens(config.context_channels)}, the model that is sampled",
        got=f"one for {got}",
        hint=f"Load a {what} made for the checkpoint, or a checkpoint of its family.",
    )


def sound(net: Net, what: str, where: str) -> Net:
    """`net`, unless weights of it are NaN or infinite. Raises `ControlError` that names the first such tensor.

    Only for nets that are read as a whole when they are loaded.
    """
    damaged = [name for name, weight in net.named_parameters() if not bool(weight.isfinite().all())]
    if damaged:
        raise ControlError(
            f"there are numbers in this {what} that are none",
            where=f"{where}, {damaged[0]}",
            got=f"NaN or infinity in {len(damaged)} tensor{'s' if len(damaged) > 1 else ''}",
            hint="The file is damaged, or its training went wrong. Download it again.",
        )
    return net
