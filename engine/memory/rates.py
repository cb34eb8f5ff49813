"""How fast a device is: bytes that reach it from the host in a second, and operations that it does."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.memory.device import Device

BUS = 10e9  # bytes a second where nobody measured: PCIe 3 x16, pinned
SAMPLE = 64 * 2**20  # bytes: long enough that the beginning of a copy does not count
SIDE = 4096  # of the matrices whose product is timed
REPEATS = 3  # the fastest counts: what else happens only makes it slower


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes a second to a device, and multiplications and additions a second that it does (0: unknown)."""

    bus: float = BUS
    arithmetic: float = 0.0


def measured(device: Device) -> Rates:
    """The rates of a device that has a lane for copies; what is not known of others."""
    if not device.can.streams:
        return Rates()
    host, there = device.pinned(SAMPLE), device.empty(SAMPLE)
    left = torch.rand(SIDE, SIDE, dtype=torch.bfloat16, device=device.place)  # zeros are multiplied faster
    copies = [device.seconds(lambda: device.send(there, host, device.lane())) for _ in range(REPEATS + 1)]
    products = [device.seconds(lambda: left @ left) for _ in range(REPEATS + 1)]
    return Rates(SAMPLE / min(copies[1:]), 2 * SIDE**3 / min(products[1:]))
