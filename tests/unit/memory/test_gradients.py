"""Gradients through leased nets: only where they are wanted, whatever the weights lie in and wherever they rest."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.memory.casting import compute_in, keep_nothing
from engine.memory.device import SimulatedDevice
from engine.memory.gradients import gradients, wanted
from engine.memory.handle import ModelHandle
from engine.memory.ledger import NoRoomError
from engine.memory.rates import Rates
from engine.memory.room import ROOM, Room
from engine.memory.work import Work

CPU = torch.device("cpu")
ROW = torch.linspace(-1, 1, 24)[None]


def net(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*(layer for _ in range(4) for layer in (nn.Linear(24, 24), nn.Tanh()))).to(dtype)


def slope(handle: ModelHandle[nn.Module]) -> Tensor:
    with gradients(), handle.lease():
        leaf = ROW.clone().requires_grad_()
        answer = handle.run(Work, lambda net, _given: net(leaf))
        (found,) = torch.autograd.grad(answer.sum(), leaf)
    return found


def expected(plain: nn.Module) -> Tensor:
    leaf = ROW.clone().requires_grad_()
    (found,) = torch.autograd.grad(plain(leaf).sum(), leaf)
    return found


def test_a_gradient_is_that_of_the_net_and_of_no_weight() -> None:
    handle = ModelHandle(net(), CPU)
    assert torch.allclose(slope(handle), expected(net()))
    assert all(weight.grad is None and not weight.requires_grad for weight in handle.weights().values())


def test_nobody_else_gets_gradients() -> None:
    handle = ModelHandle(net(), CPU)
    with gradients():
        assert wanted()
    assert not wanted()
    leaf = ROW.clone().requires_grad_()
    assert handle.run(Work, lambda net, _given: net(leaf)).is_inference()


@pytest.mark.parametrize("kept", [True, False])
def test_weights_of_half_precision_are_gone_back_through(kept: bool) -> None:
    narrow = net(torch.float16)
    reference = expected(net(torch.float16).float())
    compute_in(narrow, torch.float32)
    handle = ModelHandle(narrow, CPU)
    if not kept:
        keep_nothing(narrow)
    handle.run(Work, lambda net, _given: net(ROW))  # what is kept was made without gradients
    assert torch.allclose(slope(handle), reference)


def test_in_a_room_the_whole_net_has_to_fit() -> None:
    handle, nbytes = ModelHandle(net(), CPU), sum(weight.nbytes for weight in net().parameters())
    for limit, fits in ((200 * 2**20, True), (nbytes // 2, False)):
        token = ROOM.set(Room(SimulatedDevice(limit), bounds=(1, 4096), rates=Rates(1e6)))
        try:
            if fits:
                assert torch.allclose(slope(handle), expected(net()))
            else:
                with pytest.raises(NoRoomError):
                    slope(handle)
        finally:
            ROOM.reset(token)
