"""Streaming on an accelerator, as `-m gpu` runs it: the same bits, within the bytes, and copies beside computing.

These tests need a device that torch calls an accelerator and that copies beside computing (CUDA, ROCm, XPU). They are
left out by default, as machines that test every change have none. Elapsed time is measured here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from engine.memory.device import Device, open_device
from engine.memory.estimate import traced
from engine.memory.groups import Layout, layout
from engine.memory.handle import ModelHandle
from engine.memory.pace import spread
from engine.memory.rates import measured
from engine.memory.residency import Residency
from engine.memory.room import ROOM, Room
from engine.memory.transfer import Pinned
from engine.memory.work import Given, Work
from engine.models.adapters.adapter import Adapter
from engine.models.adapters.applying import ChangedWeights
from engine.models.adapters.changes import LowRank
from engine.models.nets.unet import UNet, UNetConfig

pytestmark = pytest.mark.gpu

MIB = 2**20
SMALL = UNetConfig(model_channels=160, context_channels=256)  # 220 MB in half precision
BOUNDS = (4 * MIB, 32 * MIB)


@pytest.fixture(scope="module")
def device() -> Device:
    found = open_device(None)
    if not found.can.streams:
        pytest.fail(f"these tests need an accelerator, and here is {found.name} only", pytrace=False)
    return found


@pytest.fixture(scope="module")
def net() -> UNet:
    torch.manual_seed(0)
    return UNet(SMALL).half().eval().requires_grad_(False)


def inputs(side: int = 32) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    x, tokens = torch.randn(2, 4, side, side, generator=generator), torch.randn(2, 77, 256, generator=generator)
    return x.half(), torch.tensor([3.0, 801.0]), tokens.half()


def answer(net: nn.Module, device: Device, side: int = 32) -> Tensor:
    with torch.inference_mode():
        made: Tensor = net(*(tensor.to(device.place) for tensor in inputs(side)))
    return made.float().cpu()


def cut_of(net: UNet) -> Layout:
    return layout(net, traced(net, lambda net, *given: net(*given), *inputs()), BOUNDS)


@pytest.mark.parametrize("pinned", [0, 64 * MIB, 2**30])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_answers_are_the_same_to_the_bit_over_many_passes(device: Device, net: UNet, share: float, pinned: int) -> None:
    residency, cut = Residency(net, device, Pinned(device, pinned)), cut_of(net)
    residency.bring()
    expected = answer(net, device)
    residency.leave()
    sizes = [group.nbytes for group in cut.groups]
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        for _ in range(10):
            with residency.streamed(cut, spread(sizes, int(sum(sizes) * share)), 2):
                assert torch.equal(answer(net, device), expected)
    residency.leave()
    device.finish()
    device.empty_cache()


def test_copies_go_on_beside_computing(device: Device, net: UNet) -> None:
    residency, cut, rates = Residency(net, device, Pinned(device, 2**30)), cut_of(net), measured(device)
    residency.bring()
    whole = min(device.seconds(lambda: answer(net, device, 64)) for _ in range(10))
    residency.leave()

    def streamed() -> None:
        with residency.streamed(cut, (False,) * len(cut.groups), 2):
            answer(net, device, 64)

    took = min([device.seconds(streamed) for _ in range(12)][2:])
    transfer = sum(group.nbytes for group in cut.groups) / rates.bus
    assert took <= 1.15 * max(whole, transfer) + max(group.nbytes for group in cut.groups) / rates.bus
    residency.leave()


def test_rates_are_those_of_a_bus_and_of_matrix_units(device: Device) -> None:
    rates = measured(device)
    assert 2e9 < rates.bus < 1e12
    assert rates.arithmetic > 1e12


def test_pinned_memory_is_pinned_and_sent_in_order(device: Device) -> None:
    source, target, lane = device.pinned(MIB), device.empty(MIB), device.copying()
    assert source.is_pinned()
    source.fill_(7)
    lane.wait_event(device.lane().record_event())
    device.send(target, source, lane)
    device.lane().wait_event(lane.record_event())
    assert bool((target.cpu() == 7).all())


@contextmanager
def room(device: Device, limit: int) -> Iterator[Room]:
    made = Room(device, limit, bounds=BOUNDS)
    token = ROOM.set(made)
    try:
        yield made
    finally:
        ROOM.reset(token)
        made.clear()


def through(handle: ModelHandle[UNet], changed: ChangedWeights | None = None, stack: object = ()) -> Tensor:
    def compute(net: nn.Module, _given: Given) -> Tensor:
        return answer(net, open_device(None))

    work = Work("step", lambda net, *given: net(*given), inputs())
    changes = None if changed is None else changed.using(stack)  # type: ignore[arg-type]
    return handle.run(lambda: replace(work, inputs=inputs()), compute, changes)


@pytest.mark.parametrize("mib", [600, 260, 180, 120])
def test_under_a_budget_nothing_fails_and_the_peak_is_as_planned(device: Device, net: UNet, mib: int) -> None:
    handle = ModelHandle(net, device.place)
    with room(device, 4 * 2**30):
        expected = through(handle)
    with room(device, mib * MIB) as there:
        before = device.figures().used
        for _ in range(3):
            device.reset_peak()
            assert (through(handle) - expected).abs().max() <= 2e-2 * expected.abs().max()
        assert there.out_of_memory == 0
        peak = device.peak()
        assert peak is not None
        assert peak - before <= 1.05 * there.planned


def test_when_the_allocator_refuses_it_is_done_again_with_less(device: Device, net: UNet) -> None:
    handle, total = ModelHandle(net, device.place), device.figures().total
    with room(device, 2**30) as there:
        expected = through(handle)
    device.empty_cache()
    with room(device, 2**30) as there:
        allocator = torch.get_device_module(device.place)
        allocator.set_per_process_memory_fraction((device.figures().used + 200 * MIB) / total, device.place)
        try:
            assert (through(handle) - expected).abs().max() <= 2e-2 * expected.abs().max()
        finally:
            allocator.set_per_process_memory_fraction(1.0, device.place)
        assert there.out_of_memory > 0


@pytest.mark.parametrize("mib", [600, 180])
def test_adapters_change_weights_on_the_device(device: Device, net: UNet, mib: int) -> None:
    names = [name for name, weight in net.named_parameters() if ".attn" in name and weight.ndim == 2]
    generator = torch.Generator().manual_seed(2)

    def low_rank(weight: Tensor) -> LowRank:
        up, down = (torch.randn(size, generator=generator) for size in ((len(weight), 4), (4, weight.shape[1])))
        return LowRank(up, down, None, 0.01)

    adapter, changed = Adapter("a", {name: (low_rank(net.get_parameter(name)),) for name in names}), ChangedWeights()
    handle = ModelHandle(net, device.place)
    with room(device, 4 * 2**30):
        plain = through(handle)
        expected = through(handle, changed, ((adapter, 0.7),))
    assert (expected - plain).abs().max() > 0.05 * plain.abs().max()
    with room(device, mib * MIB) as there:
        for stack, wanted in ((((adapter, 0.7),), expected), ((), plain)):
            assert (through(handle, changed, stack) - wanted).abs().max() <= 2e-2 * wanted.abs().max()
        assert there.out_of_memory == 0
