"""Published systems at full size under budgets from 2 GB: what is planned, and on an accelerator what is measured.

The plans are those of a device that is only thought of, so this machine need not have one. Where there is one, a
process beside this one takes all memory but the budget, so that what torch says is free is what a card of that size
would have, and torch's allocator refuses more than that.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import torch
from torch import Tensor

from bench.full_size import SYSTEMS, Job
from engine.app.commands.plan import mode_of
from engine.foundation.errors import EaselError
from engine.memory.demands import EFFICIENCY
from engine.memory.device import Device, open_device
from engine.memory.forecast import Forecast, ImaginedDevice, PlannedWork
from engine.memory.precision import PRECISIONS, Abilities, Precisions
from engine.memory.rates import Rates, measured
from engine.memory.room import Room
from engine.models.adapters.adapter import Adapter
from engine.models.adapters.changes import LowRank

GB = 10**9
BOUNDLESS = 2**50  # bytes of a device whose budget is said apart
BUDGETS = (2, 3, 4, 6, 8, 12, 24)
CARD = Rates(bus=55e9, arithmetic=790e12)  # PCIe 5 x16 from pinned memory, and bfloat16 on an H200
STEPS = 8  # of which the first are for what happens once
WARM = 3
RANK = 16
HEADROOM = 600 * 2**20  # of the driver and of torch's own kernels, besides what is planned
ROUNDED = 0.03  # of a budget, which torch's allocator may lose to sizes that it rounds
# Takes all but so many bytes, once what its process itself takes of the device is gone.
_FILLER = """
import sys, torch
first = torch.zeros(1, device=sys.argv[2])
free, _ = torch.accelerator.get_memory_info(first.device)
rest = torch.empty(max(0, free - int(sys.argv[1])), dtype=torch.uint8, device=first.device)
print(flush=True)
input()
"""


def measure() -> Iterator[str]:
    """A line for every system and budget: first as planned, then as measured."""
    device = open_device(None)
    rates = measured(device) if device.can.streams else CARD
    arithmetic = EFFICIENCY * rates.arithmetic
    yield f"memory: one guided step of full-size nets, planned for {rates.bus / GB:.0f} GB/s and"
    yield f"{arithmetic / 1e12:.0f} TFLOP/s; roofline: computing or streaming, whichever takes longer"
    yield from planned(rates)
    if device.can.streams:
        yield from run(device, rates)
    else:
        yield f"memory: no accelerator here ({device.name} has no lane for copies): that is planned, not measured"


def planned(rates: Rates) -> Iterator[str]:
    """A line for every system and budget, without computing anything."""
    yield (f"{'net':14} GB  resident  streamed GB  step s  roofline  times  peak GB  read s  {'reading':26} showing")
    device = ImaginedDevice(BOUNDLESS, streams=True)
    token = PRECISIONS.set(Precisions(can=Abilities(half=True, bfloat16=True)))
    try:
        for system in SYSTEMS:
            job, room = system(device.nothing_of, device.place), Forecast(device, rates=rates)
            least = 0
            for budget in BUDGETS:
                works = plans(job, room, budget * GB)
                least = max(work.least for part in works.values() for work in part)
                yield _planned_line(job, budget, works, rates)
            yield f"{job.name}: there is a mode for every net from {least / GB:.2f} GB on"
    finally:
        PRECISIONS.reset(token)


def plans(job: Job, room: Forecast, limit: int) -> dict[str, list[PlannedWork]]:
    """How everything would be done that a job asks for, within `limit` bytes, by what asks for it."""

    def step() -> object:
        return job.step(job.model)

    asked = {"read": job.read, "first step": step, "step": step, "show": job.show}  # others go for the first one
    room.allow(limit)
    with room.entered():
        for name, ask in asked.items():
            room.place = f"{name} within {limit}"
            ask()
    return {name: [work for work in room.works if work.place == f"{name} within {limit}"] for name in asked}


def streamed(work: PlannedWork) -> float:
    """Bytes that come anew for each call."""
    return work.streamed * sum(work.demand.groups)


def _planned_line(job: Job, budget: int, works: Mapping[str, Sequence[PlannedWork]], rates: Rates) -> str:
    start = f"{job.name:14}{budget:3}"
    modes = [(work, work.mode) for part in works.values() for work in part]
    for work, mode in modes:
        if mode is None:
            return f"{start}  FAILED: {work.net} needs {work.least / GB:.2f} GB"
    (step,) = works["step"]
    assert step.mode is not None
    resident = max(0.0, 1 - streamed(step) / step.weights)  # groups are a little larger than what is in them
    calls = -(-step.demand.rows // step.mode.rows)
    seconds = step.mode.seconds or step.demand.seconds  # a plan of what fits tells no time
    roofline = max(step.demand.seconds, calls * streamed(step) / rates.bus)
    peak = max(mode.nbytes for _, mode in modes if mode is not None)
    reading = sum(max(work.demand.seconds, work.weights / rates.bus) for work in works["read"])
    ways = {name: ", ".join(dict.fromkeys(map(mode_of, part))) or "-" for name, part in works.items()}
    return (
        f"{start}{resident:10.2f}{streamed(step) / GB:13.2f}{seconds:8.4f}{roofline:10.4f}"
        f"{seconds / roofline:7.2f}{peak / GB:9.2f}{reading:8.3f}  {ways['read']:26} {ways['show']}"
    )


def run(device: Device, rates: Rates) -> Iterator[str]:
    """A line for every system and budget, with the time and the bytes that it took."""
    yield f"memory: measured on {device.name}; peak of what was planned; LoRA: a step longer after another strength"
    yield (
        f"{'net':14} GB  resident  step s  roofline  times  peak GB  of plan  LoRA s  read s  again  show s  repeats"
    )

    def random(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.randn(shape, dtype=dtype, device=device.place).mul_(0.02).cpu()

    for system in SYSTEMS:
        job = system(random, device.place)
        device.empty_cache()
        whole: float | None = None
        for budget in sorted(BUDGETS, reverse=True):
            with card(device, budget * GB):
                row = measured_job(job, device, budget * GB, rates, whole)
            whole = row.seconds if whole is None else whole
            yield row.line
        del job
        gc.collect()


@contextmanager
def card(device: Device, budget: int) -> Iterator[None]:
    """A block in which the device has `budget` bytes, to other programs too."""
    total, allocator = device.figures().total, torch.get_device_module(device.place)
    command = [sys.executable, "-c", _FILLER, str(budget + HEADROOM), str(device.place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as filler:
        assert filler.stdout is not None
        assert filler.stdin is not None
        if not filler.stdout.readline():
            raise RuntimeError(f"the rest of the memory of {device.name} could not be taken")
        allocator.set_per_process_memory_fraction(min(1.0, budget / total), device.place)
        try:
            yield
        finally:
            allocator.set_per_process_memory_fraction(1.0, device.place)
            filler.stdin.close()


@dataclass(frozen=True)
class Row:
    """A line of the table, and the seconds of a step."""

    line: str
    seconds: float


def measured_job(job: Job, device: Device, budget: int, rates: Rates, whole: float | None = None) -> Row:
    """One system within `budget` bytes; `whole` are the seconds of a step where everything fits."""
    room = Room(device, budget, reserve=int(ROUNDED * budget), rates=rates)
    start = f"{job.name:14}{budget / GB:3.0f}"
    try:
        with room.entered():
            reads = [device.seconds(job.read) for _ in range(2)]
            room.clear()
            device.reset_peak()
            before = device.figures().used
            seconds = median([device.seconds(partial(job.step, job.model)) for _ in range(STEPS)][WARM:])
            peak = (device.peak() or 0) - before
            tenant = job.model.net.tenancy(room)
            assert tenant is not None
            assert tenant.placing is not None
            placing, of_plan = tenant.placing, peak / room.planned
            groups = zip(placing.layout.groups, placing.resident, strict=True)
            away = 0 if not placing.hooks else sum(group.nbytes for group, stays in groups if not stays)
            resident = max(0.0, 1 - away / job.model.net.nbytes)
            roofline = max(whole or seconds, away / rates.bus)
            change = lora_change(job, device, seconds)
            shown = device.seconds(job.show)
        line = (
            f"{start}{resident:10.2f}{seconds:8.4f}{roofline:10.4f}{seconds / roofline:7.2f}"
            f"{peak / GB:9.2f}{of_plan:9.2f}{change:8.3f}{reads[0]:8.3f}{reads[1]:7.3f}{shown:8.3f}"
            f"{room.out_of_memory:9}"
        )
        return Row(line, seconds)
    except (EaselError, RuntimeError) as error:  # which torch's own are, too
        return Row(f"{start}  FAILED: {error}", whole or 0.0)
    finally:
        room.clear()


def lora_change(job: Job, device: Device, steady: float) -> float:
    """Seconds that a step takes longer when the strength of a LoRA of all attention was changed before it."""
    with job.model.net.look() as net:
        layers = {name: weight for name, weight in net.named_parameters() if ".attn" in name and weight.ndim == 2}
    changes = {
        name: (LowRank(torch.randn(len(weight), RANK).half(), torch.randn(RANK, weight.shape[1]).half(), None, 0.01),)
        for name, weight in layers.items()
    }
    adapter = Adapter("random", changes)
    for strength in (0.5, 0.6):
        model = replace(job.model, adapters=((adapter, strength),))
        seconds = device.seconds(partial(job.step, model))
    return max(0.0, seconds - steady)
