"""A LoRA put on a net of SDXL's shape: all of it, once more at another strength, and one that touches a part only.

Time is the processor's, on one thread: it is the sum over cores, whoever else works on them. Two cores take half of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from engine.models.adapters.adapter import Adapter, Stack
from engine.models.adapters.applying import ChangedWeights, changed_weight
from engine.models.adapters.changes import LowRank
from engine.models.nets.attention import SpatialTransformer
from engine.models.nets.unet import UNet, UNetConfig

RANK = 64
LIMIT = 3.0  # seconds on two cores
REPEATS = 3  # of which the best counts
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


def measure() -> Iterator[str]:
    """Seconds of processor time for each type that weights come in, and what is repeated after a change of strength."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield from _whole()
            yield from _again()
    finally:
        torch.set_num_threads(threads)


def _whole() -> Iterator[str]:
    with torch.device("meta"):
        shapes = [tuple(weight.shape) for name, weight in UNet(SDXL).named_parameters() if _touched(name, weight)]
    numbers = sum(rows * columns for rows, columns in shapes) / 1e9
    yield f"LoRA of rank {RANK} on SDXL's UNet: {len(shapes)} weights, {numbers:.2f} thousand million numbers"
    changes = {shape: _low_rank(shape) for shape in set(shapes)}
    for dtype in (torch.float32, torch.float16):
        # two of each shape take turns, so that none is still in the cache when it is wanted again
        weights = {shape: [torch.randn(shape).to(dtype) for _ in range(2)] for shape in changes}
        seconds = min(_seconds(partial(_all, shapes, weights, changes)) for _ in range(REPEATS))
        name = str(dtype).removeprefix("torch.")
        yield f"{name:10}{seconds:8.2f} s of CPU, {seconds / 2:.2f} s on two cores (limit {LIMIT:.0f})"


def _all(
    shapes: list[tuple[int, ...]],
    weights: Mapping[tuple[int, ...], list[Tensor]],
    changes: Mapping[tuple[int, ...], LowRank],
) -> None:
    for number, shape in enumerate(shapes):
        changed_weight(weights[shape][number % 2], ((changes[shape], 0.7),))


def _again() -> Iterator[str]:
    """On one of SDXL's transformers, as the whole of it would need memory for three nets."""
    with torch.device("meta"):
        net: nn.Module = SpatialTransformer(1280, 2048, 20, 10, True)
    net = net.to_empty(device="cpu").requires_grad_(False)
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.02)
    names = [name for name, weight in net.named_parameters() if weight.ndim == 2]
    shapes = {name: tuple(net.get_parameter(name).shape) for name in names}
    large = Adapter("large", {name: (_low_rank(shapes[name]),) for name in names})
    small = Adapter("small", {name: large.changes[name] for name in names if ".9.attn2." in name})
    changed = ChangedWeights()

    def applied(one: float, other: float) -> Callable[[], None]:
        stack: Stack = ((large, one), (small, other))

        def run() -> None:
            with changed.applied(net, stack):
                pass

        return run

    yield f"one transformer of 10 layers: {len(names)} weights; milliseconds of CPU, and of the system for new memory"
    for name, one, other in (
        ("both adapters for the first time", 1.0, 1.0),
        ("the same once more", 1.0, 1.0),
        (f"another strength of the one for {len(small.changes)} weights", 1.0, 0.5),
        ("another strength of the one for all", 0.5, 0.5),
    ):
        before = os.times()
        applied(one, other)()
        after = os.times()
        yield f"{name:50}{1e3 * (after.user - before.user):10.0f}{1e3 * (after.system - before.system):10.0f}"


def _touched(name: str, weight: Tensor) -> bool:
    """Whether the usual trainers change it: the linear layers of transformers."""
    return weight.ndim == 2 and ("transformer_blocks" in name or ".proj_" in name)


def _low_rank(shape: tuple[int, ...]) -> LowRank:
    return LowRank(torch.randn(shape[0], RANK) * 0.02, torch.randn(RANK, shape[1]) * 0.02, None, 0.5)


def _seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
