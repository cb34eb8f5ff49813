"""Full-size nets with random weights under budgets from 2 GB: bytes against the plan, seconds against the roofline.

On an accelerator. A process beside this one takes all memory but the budget, so that what torch says is free is what a
card of that size would have, and torch's allocator refuses more than that.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor, nn

from engine.diffusion.denoiser import Denoiser, LatentFormat
from engine.diffusion.parameterisation import scaled_linear
from engine.foundation.errors import EaselError
from engine.memory.device import Device, open_device
from engine.memory.handle import ModelHandle
from engine.memory.room import ROOM, Room
from engine.models.adapters.adapter import Adapter
from engine.models.adapters.changes import LowRank
from engine.models.nets.unet import UNet, UNetConfig

GB = 10**9
BUDGETS = (2, 3, 4, 6, 8, 12, 24)
STEPS = 8  # of which the first are for what happens once
WARM = 3
RANK = 16
HEADROOM = 600 * 2**20  # of the driver and of torch's own kernels, besides what is planned
_FILLER = (
    "import sys, torch; x = torch.empty(int(sys.argv[1]), dtype=torch.uint8, device=sys.argv[2]); print(); input()"
)

SDXL = UNetConfig(
    channel_mult=(1, 2, 4),
    transformer_depth=(0, 2, 10),
    middle_depth=10,
    context_channels=2048,
    num_heads=None,
    head_channels=64,
    linear_projection=True,
    vector_channels=2816,
)


@dataclass(frozen=True)
class Case:
    """A net and the side of its latent."""

    name: str
    config: UNetConfig
    side: int


CASES = (Case("SD1.5 512", UNetConfig(), 64), Case("SDXL 1024", SDXL, 128))


def measure() -> Iterator[str]:
    """A line for every net and budget."""
    device = open_device(None)
    if not device.can.streams:
        yield f"memory: no accelerator here ({device.name} has no lane for copies), nothing to measure"
        return
    yield "memory: guided steps in half precision with random weights; a row for each budget"
    yield "net        GB  step s  roofline  times  resident  peak GB  of plan  LoRA change s  repeats"
    for case in CASES:
        net = made(case.config, device)
        whole = None
        for budget in sorted(BUDGETS, reverse=True):
            with card(device, budget * GB):
                row = measured(case, net, device, budget, whole)
            whole = row.seconds if whole is None else whole
            yield row.line


def made(config: UNetConfig, device: Device) -> UNet:
    """A net with random weights in half precision, made on the device and brought to the host."""
    with torch.device("meta"):
        net = UNet(config).half()
    with torch.no_grad():
        for name, weight in list(net.named_parameters()):
            random = torch.randn(weight.shape, dtype=weight.dtype, device=device.place).mul_(0.02).cpu()
            parent, _, leaf = name.rpartition(".")
            setattr(net.get_submodule(parent), leaf, nn.Parameter(random, requires_grad=False))
    device.empty_cache()
    return net.eval()


@contextmanager
def card(device: Device, budget: int) -> Iterator[None]:
    """A block in which the device has `budget` bytes, to other programs too."""
    total = device.figures().total
    taken = max(0, device.figures().free - budget - HEADROOM)
    command = [sys.executable, "-c", _FILLER, str(taken), str(device.place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as filler:
        assert filler.stdout is not None
        assert filler.stdin is not None
        filler.stdout.readline()
        torch.cuda.set_per_process_memory_fraction(min(1.0, budget / total), device.place)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device.place)
            filler.stdin.close()


@dataclass(frozen=True)
class Row:
    """A line of the table, and the seconds of a step."""

    line: str
    seconds: float


def measured(case: Case, net: UNet, device: Device, budget: int, whole: float | None) -> Row:
    """One net under one budget; `whole` are the seconds of a step where everything fits."""
    room = Room(device, budget * GB)
    model = Denoiser(ModelHandle(net, device.place), scaled_linear(), LatentFormat())
    token = ROOM.set(room)
    try:
        step = stepping(model, case)
        device.reset_peak()
        seconds = median([device.seconds(step) for _ in range(STEPS)][WARM:])
        peak = device.peak() or 0
        tenant = model.net.tenancy(room)
        assert tenant is not None
        assert tenant.placing is not None
        placing, planned = tenant.placing, room.planned
        groups = zip(placing.layout.groups, placing.resident, strict=True)
        streamed = 0 if not placing.hooks else sum(group.nbytes for group, stays in groups if not stays)
        roofline = max(whole or seconds, streamed / room.rates.bus)
        change = lora_change(model, case, device, seconds)
        share = 1 - streamed / model.net.nbytes
        line = (
            f"{case.name:10} {budget:2} {seconds:7.4f} {roofline:9.4f} {seconds / roofline:6.2f} {share:9.2f}"
            f" {peak / GB:8.2f} {peak / planned:8.2f} {change:14.3f} {room.out_of_memory:8}"
        )
    except (EaselError, torch.OutOfMemoryError) as error:
        line, seconds = f"{case.name:10} {budget:2} FAILED: {error}", whole or 0.0
    finally:
        ROOM.reset(token)
        room.clear()
    return Row(line, seconds)


def stepping(model: Denoiser, case: Case) -> Callable[[], Tensor]:
    """A guided step."""
    x, tokens = torch.randn(2, 4, case.side, case.side), torch.randn(2, 77, case.config.context_channels)
    vector = None if case.config.vector_channels is None else torch.randn(2, case.config.vector_channels)
    return lambda: model.denoise(x, 5.0, tokens, vector)


def lora_change(model: Denoiser, case: Case, device: Device, steady: float) -> float:
    """Seconds that a step takes longer when the strength of a LoRA of all attention was changed before it."""
    with model.net.look() as net:
        layers = {name: weight for name, weight in net.named_parameters() if ".attn" in name and weight.ndim == 2}
    changes = {
        name: (LowRank(torch.randn(len(weight), RANK).half(), torch.randn(RANK, weight.shape[1]).half(), None, 0.01),)
        for name, weight in layers.items()
    }
    adapter = Adapter("random", changes)
    for strength in (0.5, 0.6):
        seconds = device.seconds(stepping(replace(model, adapters=((adapter, strength),)), case))
    return max(0.0, seconds - steady)
