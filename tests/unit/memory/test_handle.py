"""Handles: weights are frozen, counted, and on their device while leased."""

from __future__ import annotations

import torch
from torch import nn

from engine.memory.handle import ModelHandle

CPU = torch.device("cpu")


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout())


def test_a_net_is_frozen_and_set_to_inference() -> None:
    with ModelHandle(net(), CPU).lease() as leased:
        assert not leased.training
        assert not any(weight.requires_grad for weight in leased.parameters())
        assert not leased(torch.ones(2, 3, requires_grad=True)).requires_grad


def test_gradients_are_as_before_after_a_lease() -> None:
    with ModelHandle(net(), CPU).lease():
        pass
    assert (torch.ones(2, requires_grad=True) * 2).requires_grad


def test_bytes_are_those_of_all_weights_and_buffers() -> None:
    # linear 3*4 + 4, norm 4 * 4 floats and one 64-bit counter
    assert ModelHandle(net(), CPU).nbytes == 4 * (12 + 4 + 16) + 8


def test_the_type_is_that_of_the_weights() -> None:
    assert ModelHandle(net().double(), CPU).dtype == torch.float64


def test_a_lease_puts_the_weights_on_the_device() -> None:
    handle = ModelHandle(net(), torch.device("meta"))
    with handle.lease() as leased:
        assert all(weight.is_meta for weight in leased.state_dict().values())
