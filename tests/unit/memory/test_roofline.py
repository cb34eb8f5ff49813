"""SDXL at full size on a virtual clock: close to what the bus and the arithmetic allow at every budget."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from engine.memory.estimate import Trace, traced
from engine.memory.groups import Layout, layout
from engine.memory.plan import SLOTS, Budget, Demand, plan
from engine.memory.ring import Ring
from engine.models.nets.unet import UNet, UNetConfig
from tests.unit.memory.virtual import VirtualLanes

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
PASSES = 20


@dataclass(frozen=True)
class Net:
    """What there is to know of a net without its weights: `shares` are those of the arithmetic of each group."""

    cut: Layout
    trace: Trace
    shares: tuple[float, ...]


@pytest.fixture(scope="module")
def sdxl() -> Net:
    with torch.device("meta"):
        net = UNet(SDXL).bfloat16().eval().requires_grad_(False)
        x, tokens, vector = torch.empty(1, 4, 128, 128), torch.empty(1, 77, 2048), torch.empty(1, 2816)
        inputs = (x.bfloat16(), torch.empty(1), tokens.bfloat16(), vector.bfloat16())
    trace = traced(net, lambda net, *inputs: net(*inputs), *inputs)
    cut, flops = layout(net, trace), dict[nn.Module, int]()

    def count(module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        flops[module] = weight.numel() * output.numel() // len(weight)

    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(count)
    net(*inputs)
    per_group = [sum(flops.get(module, 0) for module in {slot.module for slot in group.slots}) for group in cut.groups]
    return Net(cut, trace, tuple(work / sum(per_group) for work in per_group))


# Seconds of a guided step at twice the floor of a fast card on PCIe 5, at the floor, and of a consumer card on PCIe 4.
# The last one is where uneven arithmetic shows most: at 3 GiB computing and copying take the same time.
@pytest.mark.parametrize(("seconds", "rate", "most"), [(0.034, 55e9, 1.15), (0.017, 55e9, 1.15), (0.1, 25e9, 1.17)])
@pytest.mark.parametrize("gib", [1, 1.5, 2, 3, 4, 5, 6, 8])
def test_sdxl_streams_close_to_the_roofline(sdxl: Net, gib: float, seconds: float, rate: float, most: float) -> None:
    sizes = tuple(group.nbytes for group in sdxl.cut.groups)
    demand = Demand("sdxl", sizes, sdxl.cut.fixed_bytes, 2, sdxl.trace.peak, seconds=seconds)
    mode = plan(demand, Budget(int(gib * 2**30), rate, overlaps=True))
    assert mode.nbytes <= gib * 2**30
    assert mode.rows == 2
    lanes = VirtualLanes(sizes, rate, max(sizes))
    ring = Ring([place for place, stays in enumerate(mode.resident) if not stays], SLOTS, lanes)
    for _ in range(PASSES):
        for place, stays in enumerate(mode.resident):
            slot = None if stays else ring.enter(place)
            lanes.compute(slot, place, seconds * sdxl.shares[place])
            ring.leave()
    roofline = max(seconds, sum(size for size, stays in zip(sizes, mode.resident, strict=True) if not stays) / rate)
    assert lanes.computing / PASSES <= most * roofline


def test_sdxl_needs_no_more_than_published_floors_say(sdxl: Net) -> None:
    sizes = tuple(group.nbytes for group in sdxl.cut.groups)
    assert sum(sizes) == pytest.approx(4.78 * 2**30, rel=0.01)
    assert max(sizes) <= 80 * 2**20
    assert not sdxl.cut.fixed
    # full speed at twice the floor from 4 GiB on, as the arithmetic promises
    demand = Demand("sdxl", sizes, 0, 2, sdxl.trace.peak, seconds=0.034)
    assert plan(demand, Budget(4 * 2**30, 55e9, overlaps=True)).seconds == 0.034
