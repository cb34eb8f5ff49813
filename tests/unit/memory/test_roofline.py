"""SDXL at full size on a virtual clock: close to what the bus and the arithmetic allow at every budget."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

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
    cut = layout(net, trace)
    per_group = [sum(trace.flops_after.get(slot.name, 0) for slot in group.slots) for group in cut.groups]
    return Net(cut, trace, tuple(work / trace.flops for work in per_group))


# Seconds of a guided step at twice the floor of a fast card on PCIe 5, at the floor, and of consumer cards on PCIe 4
# and 3. Uneven arithmetic shows most where computing and copying take the same time, as at 3 GiB with the third.
@pytest.mark.parametrize(("seconds", "rate"), [(0.034, 55e9), (0.017, 55e9), (0.1, 25e9), (0.06, 12e9)])
@pytest.mark.parametrize("gib", [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 8])
def test_sdxl_streams_close_to_the_roofline(sdxl: Net, gib: float, seconds: float, rate: float) -> None:
    sizes = tuple(group.nbytes for group in sdxl.cut.groups)
    demand = Demand("sdxl", sizes, 0, 2, sdxl.trace.peak, seconds=seconds, shares=sdxl.shares)
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
    # as if all that does not fit beside the activations and a window of two groups came over the bus all the time
    streamed = max(0, sum(sizes) + 2 * sdxl.trace.peak + SLOTS * max(sizes) - gib * 2**30)
    assert lanes.computing / PASSES <= 1.15 * max(seconds, (not mode.whole) * streamed / rate)


def test_sdxl_is_known_by_its_published_arithmetic(sdxl: Net) -> None:
    assert sdxl.trace.flops == pytest.approx(6.76e12, rel=0.001)


def test_sdxl_needs_no_more_than_published_floors_say(sdxl: Net) -> None:
    sizes = tuple(group.nbytes for group in sdxl.cut.groups)
    assert sum(sizes) == pytest.approx(4.78 * 2**30, rel=0.01)
    assert max(sizes) <= 80 * 2**20
    assert not sdxl.cut.fixed
    # full speed at twice the floor from 4 GiB on, as the arithmetic promises
    demand = Demand("sdxl", sizes, 0, 2, sdxl.trace.peak, seconds=0.034, shares=sdxl.shares)
    assert plan(demand, Budget(4 * 2**30, 55e9, overlaps=True)).seconds == pytest.approx(0.034)
