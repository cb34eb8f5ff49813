"""A cascade: time outside the nets, what memory holds at once under a budget, and how often words are encoded."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from bench.cascade_words import RUNS, encoded
from bench.sampling import time_forward
from engine.diffusion.cascade import StageSteps, sample_stage, stage_denoiser
from engine.diffusion.denoiser import Denoiser
from engine.diffusion.sampling import drive
from engine.memory.device import SimulatedDevice
from engine.memory.handle import ModelHandle
from engine.memory.room import ROOM, Room
from engine.models.cascade import LoadedStage
from engine.models.nets.pixel_unet import PixelUNet, PixelUNetConfig
from engine.tensors.values import Conditioning, Pixels, Prompt

SIDE, STEPS = 32, 3
WORDS = 512
MIB = 2**20
FIRST = PixelUNetConfig(encoder_channels=WORDS)  # the widths of IF-I-M
LATER = replace(FIRST, in_channels=6, widths=(128, 256, 384, 512), blocks=(2, 2, 3, 3), cross_only=True, levels=True)
CPU = torch.device("cpu")


def measure() -> Iterator[str]:
    """Processor time a step of each stage, what is not the net's, memory on a simulated device, and calls of T5."""
    first, later = (_stage(config) for config in (FIRST, LATER))
    yield f"cascade: first stage as wide as IF-I-M, {SIDE} px, and a later one, guidance on, CPU"
    small = yield from _timed("first stage", first, SIDE, None)
    yield from _timed("later stage", later, 2 * SIDE, small)
    yield from _memory()
    yield f"words: T5 computed {encoded()} times for a prompt and a negative one, 2 stages, {RUNS} runs (limit 2)"


def _memory() -> Iterator[str]:
    """A line for each budget of a device: the most bytes in use, and the most stages that were there at once."""
    stages = [_stage(replace(config, widths=tuple(width // 2 for width in config.widths))) for config in (FIRST, LATER)]
    sizes = [stage.net.nbytes for stage in stages]
    yield f"memory: stages half as wide, {' and '.join(f'{size / MIB:.0f}' for size in sizes)} MiB, simulated device"
    for name, limit in (
        ("both", sum(sizes) + 64 * MIB),
        ("one", max(sizes) + 64 * MIB),
        ("half of one", max(sizes) // 2),
    ):
        found = _under(limit, stages)
        yield (
            f"room for {name:12}{limit / MIB:6.0f} MiB, peak {found.peak / MIB:6.0f}, stages at once {found.stages}; "
            f"{found.whole} calls whole, {found.streamed} streamed"
        )


def _stage(config: PixelUNetConfig) -> Denoiser:
    net = PixelUNet(config)
    for weight in net.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.5 / max(1, weight[0].numel()) ** 0.5)
    return stage_denoiser(LoadedStage("random", ModelHandle(net, CPU), config.levels, True))


def _painted(stage: Denoiser, side: int, small: Pixels | None, steps: int = STEPS) -> Pixels:
    prompt = Conditioning((Prompt(torch.randn(1, 77, WORDS)),))
    away = Conditioning((Prompt(torch.randn(1, 77, WORDS)),))
    blank = Pixels(torch.zeros(1, 3, side, side), empty=True)
    plan = StageSteps("trailing", steps)
    return drive(sample_stage(stage, prompt, away, blank, seed=0, cfg=7.0, steps=plan, small=small, noise_level=0.25))


def _timed(name: str, stage: Denoiser, side: int, small: Pixels | None) -> Generator[str, None, Pixels]:
    inside = [0.0]
    with stage.net.lease() as net:
        time_forward(net, inside)
    start = time.process_time()
    result = _painted(stage, side, small)
    total = time.process_time() - start
    share = (total - inside[0]) / total
    yield f"{name:12}{total / STEPS:8.2f} s of CPU a step, {share:7.3%} outside the net (limit 2 %)"
    return result


@dataclass(frozen=True)
class Found:
    """What a run under a budget took: the most bytes, the most stages at once, and calls of nets by how they ran."""

    peak: int
    stages: int
    whole: int
    streamed: int


class Watched(SimulatedDevice):
    """Knows the most bytes of all its time, not only since somebody looked for a peak anew."""

    most: int = 0

    def reset_peak(self) -> None:
        """Look for the peak anew, and keep the one that was."""
        self.most = max(self.most, self.simulation.peak)
        super().reset_peak()


def _under(limit: int, stages: list[Denoiser]) -> Found:
    """A whole cascade, a step of each stage, on a device of `limit` bytes."""
    device = Watched(limit)
    room, counts = Room(device), [0]

    def count(_net: nn.Module, _inputs: object) -> None:
        there = [stage.net.tenancy(room) for stage in stages]
        counts.append(sum(tenant is not None and tenant.reserved is not None for tenant in there))

    hooks = []
    for stage in stages:
        with stage.net.look() as net:
            hooks.append(net.register_forward_pre_hook(count))
    token = ROOM.set(room)
    try:
        small = _painted(stages[0], SIDE // 2, None, steps=1)
        _painted(stages[1], SIDE, small, steps=1)
        device.reset_peak()
        return Found(device.most, max(counts), room.whole, room.hooked)
    finally:
        ROOM.reset(token)
        room.clear()
        for hook in hooks:
            hook.remove()
