"""Types of weights and of computing: by part and device, and what people ask for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor

from engine.memory.groups import layout
from engine.memory.precision import HOST, Abilities, Part, Precision, PrecisionError, Precisions, plain, precision

SINGLE, HALF, BRAIN = torch.float32, torch.float16, torch.bfloat16
CPU, OLD, NEW = Abilities(), Abilities(half=True), Abilities(half=True, bfloat16=True)


@pytest.mark.parametrize(
    ("part", "overflows", "cpu", "old", "new"),
    [
        ("unet", False, SINGLE, HALF, HALF),
        ("vae", False, SINGLE, HALF, HALF),
        ("vae", True, SINGLE, SINGLE, BRAIN),
        ("text encoder", False, SINGLE, SINGLE, SINGLE),
        ("t5", False, SINGLE, SINGLE, BRAIN),
    ],
)
def test_parts_compute_in_what_is_fast_and_wide_enough(
    part: Part, overflows: bool, cpu: torch.dtype, old: torch.dtype, new: torch.dtype
) -> None:
    found = [precision(part, can, overflows=overflows) for can in (CPU, OLD, NEW)]
    assert [types.compute for types in found] == [cpu, old, new]
    assert all(types.storage is None for types in found)


def test_attention_that_overflows_is_computed_in_single_precision_beside_half() -> None:
    assert precision("unet", NEW, overflows=True) == Precision(HALF, attention=SINGLE)
    assert precision("unet", CPU, "fp16", overflows=True).attention == SINGLE
    assert precision("unet", NEW, "bf16", overflows=True) == Precision(BRAIN, BRAIN)


def test_what_is_asked_for_is_computed_in_or_lies_so() -> None:
    assert precision("unet", CPU, "fp16") == Precision(HALF, HALF)
    assert precision("vae", NEW, "fp32", overflows=True) == Precision(SINGLE)
    assert precision("unet", NEW, "fp8_e4m3fn") == Precision(HALF, torch.float8_e4m3fn)
    assert precision("unet", CPU, "fp8_e5m2") == Precision(SINGLE, torch.float8_e5m2)
    assert precision("text encoder", NEW, "fp16") == Precision(SINGLE, HALF)
    assert precision("t5", NEW, "fp16") == Precision(BRAIN, HALF)
    assert precision("unet", NEW, "int8") == Precision(HALF, int8=True)
    assert precision("t5", NEW, "int8") == Precision(BRAIN, int8=True)
    assert [precision(part, NEW, "fp32").compute for part in ("t5", "text encoder", "unet")] == [SINGLE] * 3


def test_a_device_without_eight_bits_says_so() -> None:
    with pytest.raises(PrecisionError, match="holds no eight-bit floats"):
        precision("unet", Abilities(half=True, float8=False), "fp8_e5m2")


def test_a_run_asks_for_each_part_by_itself() -> None:
    asked = Precisions(unet="bf16", text="fp16", cpu_vae=True, can=NEW)
    place = torch.device("cpu")
    assert (asked.of("unet", place).compute, asked.of("vae", place).compute) == (BRAIN, HALF)
    assert asked.of("t5", place).storage == HALF
    assert asked.of("vae", HOST).compute == SINGLE
    assert (asked.vae_place(place), Precisions().vae_place(place)) == (HOST, place)
    assert place != HOST


class Scaled(TwoTensor):
    """Integers with a scale each, as torchao has them."""

    def dequantize(self) -> torch.Tensor:
        return self.a * self.b


def test_weights_with_scales_are_made_plain_for_adapters_and_are_not_cut_into_groups() -> None:
    scaled, weight = Scaled(torch.ones(4, 4), torch.full((4, 4), 3.0)), torch.ones(2)
    assert torch.equal(plain(scaled), torch.full((4, 4), 3.0))
    assert plain(weight) is weight
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[0].weight = nn.Parameter(scaled, requires_grad=False)
    assert layout(net).fixed == {"0.weight"}
