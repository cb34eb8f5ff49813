"""Devices: what there is, and which one to compute on."""

from __future__ import annotations

from typing import ClassVar

import torch

from engine.foundation.errors import EaselError


class DeviceError(EaselError):
    """A device that does not exist on this machine."""

    code: ClassVar[str] = "unknown_device"


def available() -> list[str]:
    """Names of the devices of this machine, the best first; `cpu` is always among them."""
    names = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def choose(name: str | None) -> torch.device:
    """The device called `name`, or the best one. Raises `DeviceError` that lists those there are."""
    names = available()
    if name is None:
        return torch.device(names[0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in names:
        raise DeviceError("there is no such device", where="--device", got=name, expected=" or ".join(names))
    return torch.device(wanted)
