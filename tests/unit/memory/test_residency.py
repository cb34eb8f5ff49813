"""Residency: the same answers whatever is resident, from the host's own weights, within the bytes it said."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.memory.changed import Changed
from engine.memory.device import SimulatedDevice
from engine.memory.estimate import traced
from engine.memory.groups import layout
from engine.memory.residency import Residency
from engine.models.nets.unet import UNet, UNetConfig

CONFIG = UNetConfig(
    model_channels=32, channel_mult=(1, 2), num_res_blocks=1, transformer_depth=(1, 1), context_channels=16, num_heads=2
)
SMALL = (1, 64 * 1024)


def made() -> tuple[UNet, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    net = UNet(CONFIG).eval().requires_grad_(False)
    return net, (torch.randn(2, 4, 8, 8), torch.tensor([3.0, 500.0]), torch.randn(2, 5, 16))


NET, INPUTS = made()
TRACE = traced(NET, lambda net, *inputs: net(*inputs), *INPUTS)
CUT = layout(NET, TRACE, SMALL)
with torch.inference_mode():
    EXPECTED = NET(*INPUTS)


def answer(net: nn.Module, device: SimulatedDevice) -> Tensor:
    with torch.inference_mode(), device.computing():
        result: Tensor = net(*INPUTS)
    return result


def test_a_net_is_cut_into_many_groups_in_the_order_of_execution() -> None:
    names = [slot.name for group in CUT.groups for slot in group.slots]
    assert len(CUT.groups) > 10
    assert names == [name for name in TRACE.used if name not in CUT.fixed]
    assert all(len({slot.module for slot in group.slots}) == 1 for group in CUT.groups if group.nbytes > SMALL[1])
    assert not CUT.fixed


def test_whole_the_net_has_no_hooks_and_the_devices_weights() -> None:
    net, _ = made()
    before = {name: weight.data_ptr() for name, weight in net.named_parameters()}
    device = SimulatedDevice()
    residency = Residency(net, device)
    residency.bring()
    assert residency.whole
    assert device.figures().used == sum(weight.nbytes for weight in net.parameters())
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert torch.equal(answer(net, device), EXPECTED)
    residency.leave()
    gc.collect()
    assert device.figures().used == 0
    assert {name: weight.data_ptr() for name, weight in net.named_parameters()} == before


@settings(max_examples=12)
@given(st.lists(st.booleans(), min_size=len(CUT.groups), max_size=len(CUT.groups)), st.integers(1, 3))
def test_any_share_of_resident_groups_gives_the_very_same_answer(resident: list[bool], slots: int) -> None:
    device = SimulatedDevice()
    residency = Residency(NET, device)
    for _ in range(2):
        with residency.streamed(CUT, tuple(resident), slots):
            assert torch.equal(answer(NET, device), EXPECTED)
    groups = list(zip(CUT.groups, resident, strict=True))
    kept = sum(slot.parameter.nbytes for group, stays in groups if stays for slot in group.slots)
    window = slots * max((group.nbytes for group, stays in groups if not stays), default=0)
    assert device.figures().used == kept + window
    assert residency.uploads == kept
    residency.leave()
    gc.collect()
    assert device.figures().used == 0


def test_streaming_takes_no_more_than_residents_window_and_activations() -> None:
    device = SimulatedDevice()
    window = max(group.nbytes for group in CUT.groups)
    residency = Residency(NET, device)
    with residency.streamed(CUT, (False,) * len(CUT.groups), 2):
        answer(NET, device)
    assert device.simulation.peak <= 2 * window + 1.05 * TRACE.peak


@dataclass(frozen=True)
class Times:
    """A weight times a factor, with something that has to be on the device for it."""

    factor: float
    form: str = "times"

    def made(self, weight: Tensor, upload: Callable[[Tensor], Tensor]) -> Tensor:
        return weight * upload(torch.tensor(self.factor))


def times(factor: float) -> Changed:
    return dict.fromkeys(("out.2.weight", "time_embed.0.weight", "middle_block.0.in_layers.2.weight"), Times(factor))


def changed_answer(changed: Changed) -> Tensor:
    net, _ = made()
    with torch.inference_mode():
        for name, change in changed.items():
            weight = net.get_parameter(name)
            weight.copy_(change.made(weight, lambda tensor: tensor))
        answer: Tensor = net(*INPUTS)
    return answer


@pytest.mark.parametrize("every", [1, 2, 10**6])
def test_changed_weights_are_made_on_the_device_from_the_hosts_which_stay_as_they_are(every: int) -> None:
    before = {name: weight.clone() for name, weight in NET.named_parameters()}
    device = SimulatedDevice()
    residency, resident = Residency(NET, device), tuple(place % every == 0 for place in range(len(CUT.groups)))
    for factor in (1.5, 0.5):
        with residency.streamed(CUT, resident, 2, times(factor)):
            assert torch.equal(answer(NET, device), changed_answer(times(factor)))
    with residency.streamed(CUT, resident, 2):
        assert torch.equal(answer(NET, device), EXPECTED)
    residency.bring(changed=times(1.5))
    assert torch.equal(answer(NET, device), changed_answer(times(1.5)))
    assert device.figures().used == sum(weight.nbytes for weight in NET.parameters())
    residency.leave()
    assert all(torch.equal(before[name], weight) for name, weight in NET.named_parameters())


def test_another_strength_touches_only_the_weights_that_it_is_about() -> None:
    device = SimulatedDevice()
    residency, resident = Residency(NET, device), (True,) * len(CUT.groups)
    own = sum(NET.get_parameter(name).nbytes for name in times(1))
    with residency.streamed(CUT, resident, 1, times(1.5)):
        answer(NET, device)
    for factor, touched in ((1.5, 0), (0.5, 3), (0.5, 0)):
        uploads, remade = residency.uploads, residency.remade
        with residency.streamed(CUT, resident, 1, times(factor)):
            answer(NET, device)
        assert (residency.uploads - uploads, residency.remade - remade) == (own * touched // 3, touched)
    residency.bring(changed=times(0.5))
    for factor, touched in ((0.5, 0), (1.5, 3)):
        uploads, remade = residency.uploads, residency.remade
        residency.bring(changed=times(factor))
        assert (residency.uploads - uploads, residency.remade - remade) == (own * touched // 3, touched)
    residency.leave()


def test_a_window_changes_only_what_passes_through_it() -> None:
    device = SimulatedDevice()
    residency = Residency(NET, device)
    for passed in (3, 6):
        with residency.streamed(CUT, (False,) * len(CUT.groups), 2, times(1.5)):
            answer(NET, device)
        assert (residency.uploads, residency.remade) == (0, passed)
    residency.leave()


def test_a_failure_in_the_middle_leaves_the_net_as_it_was() -> None:
    device = SimulatedDevice()
    residency = Residency(NET, device)
    before = {name: id(weight) for name, weight in NET.named_parameters()}
    for failing in range(1, 120, 7):
        device.simulation.fail_at = device.simulation.allocations + failing
        with pytest.raises(torch.OutOfMemoryError), residency.streamed(CUT, (False,) * len(CUT.groups), 2):
            answer(NET, device)
        assert {name: id(weight) for name, weight in NET.named_parameters()} == before
        assert not any(module._forward_pre_hooks or module._forward_hooks for module in NET.modules())
    with residency.streamed(CUT, (False,) * len(CUT.groups), 2):
        assert torch.equal(answer(NET, device), EXPECTED)


class Mixed(nn.Module):
    """Weights in every kind of place: shared, used astray, of a module with children, not contiguous, buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.scale = nn.Parameter(torch.full((4,), 1.5))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.BatchNorm1d(3)
        self.turned = nn.Linear(4, 4)
        self.turned.weight = nn.Parameter(torch.randn(4, 4).t())
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x) * self.scale
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        answer: Tensor = self.head(self.turned(x))
        return answer


@pytest.mark.parametrize("known", [True, False])
def test_places_that_cannot_be_streamed_are_found(known: bool) -> None:
    torch.manual_seed(0)
    net, tokens = Mixed().eval().requires_grad_(False), torch.tensor([[1, 2, 5]])
    with torch.inference_mode():
        expected = net(tokens)
    cut = layout(net, traced(net, lambda net, x: net(x), tokens) if known else None, (1, 1))
    assert {"embedding.weight", "head.weight", "scale"} <= cut.fixed
    assert any(name.startswith("attention.out_proj") for name in cut.fixed)
    device = SimulatedDevice()
    residency = Residency(net, device)
    with residency.streamed(cut, (False,) * len(cut.groups), 2):
        with torch.inference_mode(), device.computing():
            assert torch.equal(net(tokens), expected)
        assert net.turned.weight.stride() == (1, 4)
