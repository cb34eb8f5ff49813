"""Residency: the same answers whatever is resident, from the host's own weights, within the bytes it said."""

from __future__ import annotations

import gc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

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


def test_exchanged_weights_are_used_at_once_and_the_hosts_are_never_written_to() -> None:
    net, _ = made()
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    device = SimulatedDevice()
    residency, resident = Residency(net, device), tuple(place % 2 == 0 for place in range(len(CUT.groups)))
    cut = layout(net, TRACE, SMALL)
    with residency.streamed(cut, resident, 2):
        assert torch.equal(answer(net, device), EXPECTED)
    modules = [net.out[2], net.time_embed[0], net.middle_block[0].in_layers[2]]
    own = [module._parameters["weight"] for module in modules]
    for module in modules:
        module._parameters["weight"] = nn.Parameter(module.weight * 1.5, requires_grad=False)
    with torch.inference_mode():
        changed = net(*INPUTS)
    assert not torch.equal(changed, EXPECTED)
    with residency.streamed(cut, resident, 2):
        assert torch.equal(answer(net, device), changed)
    for module, weight in zip(modules, own, strict=True):
        module._parameters["weight"] = weight
    with residency.streamed(cut, resident, 2):
        assert torch.equal(answer(net, device), EXPECTED)
    assert all(torch.equal(before[name], weight) for name, weight in net.named_parameters())


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
