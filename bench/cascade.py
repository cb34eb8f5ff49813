"""A cascade: time outside the nets, how often words are encoded, and what memory holds at once."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace

import torch
from torch import nn

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
    """Processor time a step of each stage, what is not the net's, and memory on a simulated device."""
    first, later = (_stage(config) for config in (FIRST, LATER))
    yield f"cascade: first stage as wide as IF-I-M, {SIDE} px, and a later one, guidance on, CPU"
    small = yield from _timed("first stage", first, SIDE, None)
    yield from _timed("later stage", later, 2 * SIDE, small)
    sizes = [stage.net.nbytes for stage in (first, later)]
    for name, limit in (("both", 2 * sum(sizes)), ("one", max(sizes) + 256 * MIB), ("half of one", max(sizes) // 2)):
        peak, calls = _under(limit, first, later)
        bytes_of = f"limit {limit / MIB:6.0f} MiB, peak {peak / MIB:6.0f}, both stages {sum(sizes) / MIB:.0f}"
        yield f"room for {name:12}{bytes_of}; {calls}"


def _stage(config: PixelUNetConfig) -> Denoiser:
    net = PixelUNet(config)
    for weight in net.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.5 / max(1, weight[0].numel()) ** 0.5)
    return stage_denoiser(LoadedStage("random", ModelHandle(net, CPU), config.levels, True))


def _painted(stage: Denoiser, side: int, small: Pixels | None) -> Pixels:
    prompt = Conditioning((Prompt(torch.randn(1, 77, WORDS)),))
    away = Conditioning((Prompt(torch.randn(1, 77, WORDS)),))
    blank = Pixels(torch.zeros(1, 3, side, side), empty=True)
    steps = StageSteps("trailing", STEPS)
    return drive(sample_stage(stage, prompt, away, blank, seed=0, cfg=7.0, steps=steps, small=small, noise_level=0.25))


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


def _under(limit: int, first: Denoiser, later: Denoiser) -> tuple[int, str]:
    """The most bytes that a whole cascade had on a device of `limit` bytes, and how its nets computed there."""
    device = SimulatedDevice(limit)
    room = Room(device)
    token = ROOM.set(room)
    try:
        _painted(later, 2 * SIDE, _painted(first, SIDE, None))
        return device.simulation.peak, f"{room.whole} calls whole, {room.hooked} streamed"
    finally:
        ROOM.reset(token)
        room.clear()
